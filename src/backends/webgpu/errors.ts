/** The device is gone: driver reset, removed, or destroyed. What ran on it can run again elsewhere. */
export class DeviceLostError extends Error {
  override name = "DeviceLostError";
}

/** The device refused or failed: the message names the kernel and its shapes. */
export class GpuError extends Error {
  override name = "GpuError";
}
