#!/usr/bin/env bash
# scripts/check_isa_objects.sh BUILD - proves that code compiled for one instruction set cannot leak into another.
#
# An object of src/kernels/isa/ or src/train/cpu/isa_*.cc may define no weak symbol (the linker could give its AVX copy of an inline function to a
# caller on a machine without AVX) and no initialiser that runs before the CPU was asked what it can do. In builds with
# sanitizers every unit has an initialiser of theirs (asan.module_ctor, _sub_I_00099_*), which is let through by name.
set -euo pipefail
build=${1:?usage: check_isa_objects.sh BUILD}

mapfile -t objects < <(find "$build" -path '*/kernels/isa/*.o' -o -path '*/train/cpu/isa_*.o' | sort)
if [ "${#objects[@]}" -eq 0 ]; then
  if compgen -G "$(dirname "$0")/../src/kernels/isa/*.cc" > /dev/null; then
    echo "isa: src/kernels/isa/ has units, but $build holds no object of them; build first" >&2
    exit 1
  fi
  echo "isa: no units"
  exit 0
fi

problems=0
complain() {
  echo "isa: $1" >&2
  problems=$((problems + 1))
}

for object in "${objects[@]}"; do
  name=${object#"$build"/}
  # W/w: weak functions, V/v: weak objects, u: unique. Undefined ones ("w", no address) are only asked for. DW.ref.*
  # is how gcc names the exception personality, and __odr_asan/__asan are the sanitizer's own.
  while read -r symbol; do
    complain "$name: weak symbol $symbol: give it internal linkage (anonymous namespace or static)"
  done < <("${NM:-nm}" --defined-only -C "$object" | awk '$2 ~ /^[WVvu]$/ {$1 = ""; $2 = ""; print substr($0, 3)}' |
    grep -v -E '^(DW\.ref\.|__odr_asan|__asan)' || true)
  if "${OBJDUMP:-objdump}" -h "$object" | grep -q -E ' \.(init_array|ctors)'; then
    initialisers=$("${NM:-nm}" -C "$object" | awk '$2 ~ /^[tT]$/ {print $3}' |
      grep -E '^_GLOBAL__sub_I|^__static_initialization_and_destruction' || true)
    [ -n "$initialisers" ] || "${NM:-nm}" "$object" | grep -q -E '_sub_I_00099_|asan\.module_ctor' ||
      initialisers="(unnamed)"
    [ -z "$initialisers" ] || complain "$name: runs code before main: $(echo "$initialisers" | tr '\n' ' ')"
  fi
done
[ "$problems" -eq 0 ] || exit 1
echo "isa: ${#objects[@]} objects, no weak symbol, nothing runs before main"
