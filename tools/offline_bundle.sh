#!/usr/bin/env bash
# Makes a self-contained folder for a machine that has a GPU and no network: this checkout, Deno
# (compressed), the npm packages it needs, and the Vulkan loader as a Debian package. Below 60 MiB.
#
# Usage: tools/offline_bundle.sh [FOLDER]      (default: /tmp/mintjulep-offline)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
out="${1:-/tmp/mintjulep-offline}"
if [ -e "$out" ]; then
  echo "$out already exists: remove it or name another folder" >&2
  exit 2
fi
mkdir -p "$out"
out="$(cd "$out" && pwd)"

deno() { if command -v deno >/dev/null; then command deno "$@"; else npx -y deno@2.9.6 "$@"; fi; }

deno run -A tools/embed.ts --quiet
mkdir "$out/checkout" "$out/vulkan"
git ls-files -z -- src bench tools shaders assembly deno.json deno.lock LICENSE README.md |
  tar -c --null -T - | tar -x -C "$out/checkout"
cp src/backends/wasm/kernels.gen.ts "$out/checkout/src/backends/wasm/"
cp src/backends/webgpu/shaders.gen.ts "$out/checkout/src/backends/webgpu/"
cp src/run/code.gen.ts "$out/checkout/src/run/"

# Only what the programs there import: neither the compiler of assembly/ nor what the tests use.
rm "$out/checkout/deno.lock"
deno eval '
  const [file] = Deno.args;
  const config = JSON.parse(Deno.readTextFileSync(file));
  for (const name of ["assemblyscript", "fast-check", "@webgpu/types"]) delete config.imports[name];
  delete config.lock;
  Deno.writeTextFileSync(file, JSON.stringify({ ...config, lock: false }, null, 2));
' -- "$out/checkout/deno.json"
(cd "$out/checkout" && DENO_DIR="$out/deno_dir" deno cache --quiet bench/gpu.ts src/mod.ts src/workers/worker.ts)
# Types and maps are for those who develop.
find "$out/deno_dir/npm" -type f \( -name '*.map' -o -name '*.d.ts' -o -name '*.d.cts' -o -name '*.d.mts' \) -delete
find "$out/deno_dir/npm" -type d -path '*/zod/*/src' -prune -exec rm -rf {} +
find "$out/deno_dir" -mindepth 1 -maxdepth 1 ! -name npm -exec rm -rf {} +

binary="$(deno eval 'console.log(Deno.execPath())')"
xz -T0 -6 -c "$binary" >"$out/deno.xz"

# The loader finds the GPU's own driver; machines without a display often lack it.
if command -v apt-get >/dev/null; then
  (cd "$out/vulkan" && apt-get -qq download libvulkan1 2>/dev/null) ||
    echo "apt-get has no libvulkan1: the machine there must have the Vulkan loader itself" >&2
fi

cat >"$out/run.sh" <<'RUN'
#!/usr/bin/env bash
# run.sh: deno task bench:gpu --write on this machine. run.sh ARGS...: any mintjulep command.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
[ -x "$here/deno" ] || { xz -d -k -c "$here/deno.xz" >"$here/deno" && chmod +x "$here/deno"; }
if ! ldconfig -p 2>/dev/null | grep -q libvulkan.so.1; then
  for package in "$here"/vulkan/*.deb; do
    [ -e "$package" ] && dpkg -x "$package" "$here/vulkan/root"
  done
  LD_LIBRARY_PATH="$(echo "$here"/vulkan/root/usr/lib/*-linux-gnu)${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
  export LD_LIBRARY_PATH
fi
if [ -z "${VK_DRIVER_FILES:-}" ] && [ -e /usr/local/nvidia/share/vulkan/icd.d/nvidia_icd.json ]; then
  export VK_DRIVER_FILES=/usr/local/nvidia/share/vulkan/icd.d/nvidia_icd.json
fi
export DENO_DIR="$here/deno_dir" DENO_NO_UPDATE_CHECK=1
cd "$here/checkout"
if [ "$#" -eq 0 ]; then
  "$here/deno" run -A --cached-only --no-check src/mod.ts doctor
  exec "$here/deno" run -A --cached-only --no-check bench/gpu.ts --write
fi
exec "$here/deno" run -A --cached-only --no-check src/mod.ts "$@"
RUN
chmod +x "$out/run.sh"

mebibytes="$(du -sm "$out" | cut -f1)"
echo "$out: $mebibytes MiB"
if [ "$mebibytes" -ge 60 ]; then
  echo "more than 60 MiB" >&2
  exit 1
fi
echo "Carry the folder there and run:"
echo "  $(basename "$out")/run.sh                                   # doctor, then all benchmarks"
echo "  $(basename "$out")/run.sh train lj13 --out runs/lj13        # or any other command"
