#include "train/run_state.h"

#include <fmt/format.h>

#include <utility>

#include "base/file.h"
#include "recipe/fields.h"

namespace metier::train {
namespace {

constexpr const char* kStateFile = "/trainer_state.json";

// The first field in which two configurations differ, "name: x, now y".
std::string Difference(const Json& before, const Json& now) {
  for (const auto& [key, value] : now.items()) {
    const auto old = before.find(key);
    const std::string was = old == before.end() ? "absent" : DumpCompact(*old);
    if (was != DumpCompact(value))
      return fmt::format("{}: {}, now {}", key, was, DumpCompact(value));
  }
  return "a field is gone";
}

Error Damaged(const std::string& checkpoint) {
  return Error(ErrorCode::kDataCorrupt,
               fmt::format("'{}{}' is not a state that this program wrote; remove the checkpoint "
                           "to resume from an older one",
                           checkpoint, kStateFile));
}

double NumberOrNan(const Json& value) {
  return value.is_number() ? value.get<double>() : std::nan("");
}

Status CheckRun(const std::string& checkpoint, const Json& document,
                const recipe::TrainConfig& config, const Json& inputs) {
  const std::pair<const char*, Json> wanted[] = {{"config", ResumeKey(config)}, {"inputs", inputs}};
  for (const auto& [name, now] : wanted) {
    const auto before = document.find(name);
    if (before == document.end() || !before->is_object()) return Damaged(checkpoint);
    if (DumpCompact(*before) == DumpCompact(now)) continue;
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("checkpoint '{}' belongs to another run ({}); say "
                             "`resume_from_checkpoint: never`, or use another output_dir",
                             checkpoint, Difference(*before, now)));
  }
  return Ok();
}

}  // namespace

Json ResumeKey(const recipe::TrainConfig& config) {
  Json key = recipe::WriteFields(config);
  for (const char* name :
       {"output_dir", "threads", "logging_steps", "eval_steps", "eval_file", "eval_files",
        "eval_on_start", "general_file", "save_steps", "save_total_limit", "resume_from_checkpoint",
        "dtype", "tokenizer", "optimizer_sharding", "ddp_bucket_cap_mb", "ddp_timeout"})
    key.erase(name);
  return key;
}

Json FiniteOrNull(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

Status WriteState(const std::string& checkpoint, const RunState& state,
                  const recipe::TrainConfig& config, const Json& inputs) {
  const Json document = {{"global_step", state.step},
                         {"max_steps", state.total},
                         {"epoch", state.epoch},
                         {"num_input_tokens_seen", state.tokens},
                         {"elapsed_seconds", state.elapsed},
                         {"last_loss", FiniteOrNull(state.last_loss)},
                         {"window", {{"loss", state.window.loss}, {"steps", state.window.steps}}},
                         {"log_history", state.history},
                         {"config", ResumeKey(config)},
                         {"inputs", inputs}};
  return WriteFileAtomic(checkpoint + kStateFile, DumpPretty(document));
}

Result<RunState> ReadState(const std::string& checkpoint, const recipe::TrainConfig& config,
                           const Json& inputs) {
  METIER_ASSIGN(const Json document, ReadJsonFile(checkpoint + kStateFile));
  if (!document.is_object()) return Damaged(checkpoint);
  METIER_TRY(CheckRun(checkpoint, document, config, inputs));
  RunState state;
  try {
    state.step = document.at("global_step").get<std::int64_t>();
    state.epoch = document.at("epoch").get<double>();
    state.tokens = document.at("num_input_tokens_seen").get<std::int64_t>();
    state.elapsed = document.at("elapsed_seconds").get<double>();
    state.last_loss = NumberOrNan(document.at("last_loss"));
    state.window.loss = document.at("window").at("loss").get<double>();
    state.window.steps = document.at("window").at("steps").get<std::int64_t>();
    state.history = document.at("log_history");
    for (const Json& line : state.history) {
      if (line.contains("general_loss")) {
        state.general_step = line.at("step").get<std::int64_t>();
        (state.general_step == 0 ? state.general_before : state.general_after) =
            NumberOrNan(line.at("general_loss"));
      }
      if (!line.contains("eval_loss")) continue;
      state.eval_step = line.at("step").get<std::int64_t>();
      state.eval_loss = NumberOrNan(line.at("eval_loss"));
    }
  } catch (const Json::exception&) {
    return Damaged(checkpoint);
  }
  return state;
}

}  // namespace metier::train
