/** The adapter's fused multiply-add peak in float32, measured: what fractions of the peak refer to. */

const LANES = 64;
const CHAINS = 8;
const TURNS = 512;

const code = `
@group(0) @binding(0) var<storage, read_write> out: array<f32>;
@compute @workgroup_size(${LANES})
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let a = vec4<f32>(f32(id.x) * 1e-9 + 0.999);
  let b = vec4<f32>(1e-6);
${Array.from({ length: CHAINS }, (_, c) => `  var x${c} = vec4<f32>(${c}.5);`).join("\n")}
  for (var k = 0u; k < ${TURNS}u; k++) {
${Array.from({ length: CHAINS }, (_, c) => `    x${c} = fma(x${c}, a, b);`).join("\n")}
  }
  let sum = ${Array.from({ length: CHAINS }, (_, c) => `x${c}`).join(" + ")};
  out[id.x] = sum.x + sum.y + sum.z + sum.w;
}`;

/** GFLOP/s over `groups` workgroups; the best of a few rounds. */
export async function gpuPeak(groups: number): Promise<number> {
  const adapter = await navigator.gpu.requestAdapter({ powerPreference: "high-performance" });
  const device = await adapter!.requestDevice({ label: "peak" });
  const out = device.createBuffer({
    label: "peak",
    size: 4 * LANES * groups,
    usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC,
  });
  const pipeline = device.createComputePipeline({
    label: "peak",
    layout: "auto",
    compute: { module: device.createShaderModule({ label: "peak", code }) },
  });
  const bindGroup = device.createBindGroup({
    label: "peak",
    layout: pipeline.getBindGroupLayout(0),
    entries: [{ binding: 0, resource: { buffer: out } }],
  });
  const seconds = async (passes: number) => {
    const encoder = device.createCommandEncoder({ label: "peak" });
    const pass = encoder.beginComputePass({ label: "peak" });
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, bindGroup);
    for (let k = 0; k < passes; k++) pass.dispatchWorkgroups(groups);
    pass.end();
    const from = performance.now();
    device.queue.submit([encoder.finish()]);
    await device.queue.onSubmittedWorkDone();
    return (performance.now() - from) / 1000;
  };
  await seconds(2);
  let best = 0;
  for (let round = 0; round < 5; round++) {
    const each = (await seconds(12) - await seconds(2)) / 10;
    if (each > 0) best = Math.max(best, 2 * 4 * CHAINS * TURNS * LANES * groups / each / 1e9);
  }
  device.destroy();
  return best;
}
