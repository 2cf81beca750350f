/** The one entry file of the pool's workers. */
import { createExecutor } from "../backends/create.ts";
import { serve } from "./serve.ts";

serve(createExecutor);
