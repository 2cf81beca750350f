import type { SystemConfig } from "../config/config.ts";
import { InputError } from "../errors.ts";
import { levelCount, type PathModel } from "./model.ts";

/** Throws InputError, in one line, for a path that is none or that does not suit the system. */
export function checkPath(path: PathModel, system: SystemConfig): void {
  const K = levelCount(path);
  if (K < 1) throw new InputError("path.stepSize: a path needs at least one level");
  const { levels } = path;
  const all: Record<string, [Float64Array, (v: number) => boolean, string]> = {
    stepSize: [path.stepSize, (v) => v > 0, "above 0"],
    friction: [path.friction, (v) => v > 0, "above 0"],
    clip: [path.clip, (v) => v >= 0, "at least 0"],
  };
  if (levels.kind === "mixture") all.times = [levels.times, (v) => v > 0 && v <= 1, "in (0, 1]"];
  else {
    all.depth = [levels.depth, (v) => v > 0, "above 0"];
    all.attraction = [levels.attraction, () => true, "finite"];
    all.softness = [levels.softness, (v) => v >= 0, "at least 0"];
    all.confinement = [levels.confinement, (v) => v > 0, "above 0"];
  }
  for (const [field, [values, holds, wanted]] of Object.entries(all)) {
    if (values.length !== K) {
      throw new InputError(`path.${field} must have ${K} levels, got ${values.length}`);
    }
    const bad = values.findIndex((v) => !Number.isFinite(v) || !holds(v));
    if (bad >= 0) {
      throw new InputError(`path.${field}[${bad}] must be ${wanted}, got ${values[bad]}`);
    }
  }
  const adjusted = path.kernel === "adjusted";
  if (
    !Number.isSafeInteger(path.leapfrogs) || (adjusted ? path.leapfrogs < 1 : path.leapfrogs !== 0)
  ) {
    throw new InputError(
      `path.leapfrogs must be ${
        adjusted ? "an integer >= 1" : "0 (underdamped)"
      }, got ${path.leapfrogs}`,
    );
  }
  const { refreshInterval = 1 } = path;
  if (!Number.isSafeInteger(refreshInterval) || refreshInterval < 1) {
    throw new InputError(`path.refreshInterval must be an integer >= 1, got ${refreshInterval}`);
  }
  if (levels.kind === "pair_path") {
    if (system.kind !== "lennard_jones") {
      throw new InputError(
        `path.levels "pair_path" needs a lennard_jones system, got ${system.kind}`,
      );
    }
    if (!(levels.priorVariance > 0 && Number.isFinite(levels.priorVariance))) {
      throw new InputError(
        `path.levels.priorVariance must be above 0, got ${levels.priorVariance}`,
      );
    }
    const { saturation = null } = levels;
    if (saturation !== null && !(saturation > 0 && Number.isFinite(saturation))) {
      throw new InputError(`path.levels.saturation must be above 0, got ${saturation}`);
    }
  }
  const { flow } = path;
  if (!flow) return;
  const length = K * (flow.cells + 1);
  if (!Number.isSafeInteger(flow.cells) || flow.cells < 1 || flow.tables.length !== length) {
    throw new InputError(`path.flow.tables must have ${length} numbers, got ${flow.tables.length}`);
  }
  if (!(flow.width > 0)) throw new InputError(`path.flow.width must be above 0, got ${flow.width}`);
  for (let at = 0; at < length; at++) {
    const node = at % (flow.cells + 1);
    if (node === 0 ? flow.tables[at] !== 0 : !(flow.tables[at] > flow.tables[at - 1])) {
      throw new InputError(
        `path.flow.tables[${at}] must ${node ? "rise" : "be 0"}, got ${flow.tables[at]}`,
      );
    }
  }
}
