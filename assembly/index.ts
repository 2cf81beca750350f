// The one WebAssembly module: every kernel's exports. Memory is laid out by the host (see
// src/backends/wasm/memory.ts): it allocates from heapBase() upwards and passes byte addresses.
export function heapBase(): usize { return __heap_base; }
