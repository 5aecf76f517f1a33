#!/usr/bin/env bash
# scripts/check_format.sh [--fix] - every C++ file is as clang-format 14 writes it; --fix rewrites those that are not.
set -euo pipefail
cd "$(dirname "$0")/.."

formatter=$(command -v clang-format-14 || true)
if [ -z "$formatter" ]; then
  echo "format: clang-format-14 is missing (another version formats otherwise); run scripts/setup" >&2
  exit 4
fi
mode=(--dry-run -Werror)
[ "${1:-}" = --fix ] && mode=(-i)

mapfile -d '' files < <(git ls-files -z --cached --others --exclude-standard -- '*.h' '*.cc' | sort -uz |
  while IFS= read -r -d '' file; do [ -f "$file" ] && printf '%s\0' "$file"; done)
printf '%s\0' "${files[@]}" | xargs -0 -n 16 -P "$(nproc)" "$formatter" --style=file "${mode[@]}" || {
  echo "format: run 'make format'" >&2
  exit 1
}
echo "format: ${#files[@]} files"
