# scripts/steps.sh - sourced by scripts/lint and scripts/test: runs named steps and sums them up.
#
# step NAME COMMAND...   runs the command, and remembers how it ended and how long it took; never stops the script
# summary TITLE          prints one line a step and returns 1 when one of them failed

step_lines=()
step_failures=0

step() {
  local name=$1 started=$SECONDS status=0
  shift
  printf '\n== %s\n' "$name"
  "$@" || status=$?
  if [ "$status" = 0 ]; then
    step_lines+=("$(printf '  ok      %-28s %4d s' "$name" $((SECONDS - started)))")
  else
    step_lines+=("$(printf '  FAILED  %-28s %4d s  exit code %d' "$name" $((SECONDS - started)) "$status")")
    step_failures=$((step_failures + 1))
  fi
  return 0
}

summary() {
  printf '\n%s\n' "$1"
  printf '%s\n' "${step_lines[@]}"
  if [ "$step_failures" -gt 0 ]; then
    printf '%d of %d steps failed, %d s\n' "$step_failures" "${#step_lines[@]}" "$SECONDS"
    return 1
  fi
  printf 'all %d steps passed, %d s\n' "${#step_lines[@]}" "$SECONDS"
}
