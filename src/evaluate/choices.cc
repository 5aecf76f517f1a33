#include "evaluate/choices.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "base/limits.h"
#include "data/encode.h"
#include "data/lines.h"
#include "text/tool_dialect.h"

namespace metier::evaluate {
namespace {

using text::TokenId;

struct ChoiceRow {
  Json prompt;  // text, or messages
  std::vector<std::string> choices;
  std::size_t answer = 0;
};

Error BadChoiceRow(const std::string& reason) { return {ErrorCode::kDataCorrupt, reason}; }

Result<std::size_t> AnswerOf(const Json& row, const std::vector<std::string>& choices) {
  if (!row.contains("answer")) {
    return BadChoiceRow("found no \"answer\", expected one of the choices, or its index from 0");
  }
  const Json& answer = row["answer"];
  if (answer.is_string()) {
    const auto found =
        std::find(choices.begin(), choices.end(), answer.get_ref<const std::string&>());
    if (found != choices.end()) return static_cast<std::size_t>(found - choices.begin());
  } else if (answer.is_number_integer()) {
    const auto index = answer.get<std::int64_t>();
    if (index >= 0 && index < static_cast<std::int64_t>(choices.size())) {
      return static_cast<std::size_t>(index);
    }
  }
  return BadChoiceRow(
      fmt::format("\"answer\": found {}, expected one of the {} choices, or its index from 0",
                  DumpCompact(answer), choices.size()));
}

Result<ChoiceRow> ReadChoiceRow(const std::string& line) {
  METIER_ASSIGN(const Json row, ParseJson(line));
  ChoiceRow read;
  if (!row.is_object() || !row.contains("choices") || !row["choices"].is_array() ||
      row["choices"].size() < 2) {
    return BadChoiceRow(
        fmt::format("found {}, expected an object with a list of two \"choices\" or more",
                    !row.is_object()          ? row.type_name()
                    : row.contains("choices") ? DumpCompact(row["choices"])
                                              : "no \"choices\""));
  }
  for (const Json& choice : row["choices"]) {
    if (!choice.is_string() || choice.get_ref<const std::string&>().empty()) {
      return BadChoiceRow(fmt::format("\"choices\": found {}, expected texts that are not empty",
                                      DumpCompact(choice)));
    }
    read.choices.push_back(choice.get<std::string>());
  }
  const bool text = row.contains("prompt") && row["prompt"].is_string() && row["prompt"] != "";
  const bool messages =
      row.contains("messages") && row["messages"].is_array() && !row["messages"].empty();
  if (text == messages) {
    return BadChoiceRow(
        fmt::format("found {}, expected one of them: a \"prompt\", a text, or \"messages\", a list",
                    text ? "both \"prompt\" and \"messages\"" : "no \"prompt\" or \"messages\""));
  }
  read.prompt = text ? row["prompt"] : row["messages"];
  METIER_ASSIGN(read.answer, AnswerOf(row, read.choices));
  return read;
}

// A choice behind its prompt: what is scored is [first, ids.size()).
struct ScoredChoice {
  std::vector<TokenId> ids;
  std::size_t first = 0;
};

class ChoiceScorer {
 public:
  ChoiceScorer(LanguageModel& model, const ChoiceReader& reader)
      : model_(model),
        reader_(reader),
        encoder_(reader.tokenizer, reader.chat_template, options_) {}

  Result<ScoredChoice> Encode(const ChoiceRow& row, std::size_t choice) {
    data::Conversation conversation;
    if (row.prompt.is_string()) {
      conversation.prompt = row.prompt.get<std::string>();
      conversation.text = row.choices[choice];
    } else {
      conversation.messages = row.prompt;
      conversation.messages.push_back({{"role", "assistant"}, {"content", row.choices[choice]}});
      conversation.trained.assign(row.prompt.size(), 0);
      conversation.trained.push_back(1);
    }
    METIER_ASSIGN(std::vector<data::Example> examples, encoder_.Encode(conversation));
    if (examples.size() != 1) {
      return Error(ErrorCode::kInvalidArgument,
                   "the chat template has no form for the messages and this answer");
    }
    ScoredChoice scored;
    scored.ids = std::move(examples.front().ids);
    // Whether a text ends there is not what is asked.
    if (row.prompt.is_string() && scored.ids.back() == reader_.tokenizer.special().eos) {
      scored.ids.pop_back();
    }
    const std::vector<std::uint8_t>& loss = examples.front().loss;
    scored.first = static_cast<std::size_t>(std::find(loss.begin(), loss.end(), 1) - loss.begin());
    if (static_cast<std::int64_t>(scored.ids.size()) > model_.MaxTokens()) {
      return Error(ErrorCode::kInvalidArgument,
                   fmt::format("prompt and choice '{}' have {} tokens, the model takes {}",
                               row.choices[choice], scored.ids.size(), model_.MaxTokens()));
    }
    return scored;
  }

  // Whether the model, writing freely behind the prompt, writes this choice and nothing else.
  Result<bool> WritesFreely(const ScoredChoice& choice, const std::string& text) {
    const Prompt prompt{.slot = 0, .tokens = std::span(choice.ids).first(choice.first)};
    const auto longest = static_cast<std::int64_t>(choice.ids.size() - choice.first) + 1;
    METIER_ASSIGN(const auto replies, model_.Greedy({&prompt, 1}, longest, reader_.stop));
    METIER_ASSIGN(const std::string reply, reader_.tokenizer.Decode(replies.front()));
    return text::Trim(reply) == text::Trim(text);
  }

  Status Score(const ChoiceRow& row, ChoiceResult& result) {
    std::vector<ScoredChoice> encoded;
    std::size_t best = 0;
    std::size_t best_norm = 0;
    double highest = -std::numeric_limits<double>::infinity();
    double highest_norm = highest;
    for (std::size_t c = 0; c < row.choices.size(); ++c) {
      METIER_ASSIGN(ScoredChoice choice, Encode(row, c));
      METIER_ASSIGN(const std::vector<double> log_probs, model_.LogProbs(choice.ids, choice.first));
      double sum = 0;
      for (const double log_prob : log_probs) sum += log_prob;
      const double norm = sum / static_cast<double>(row.choices[c].size());
      if (sum > highest) best = c;
      if (norm > highest_norm) best_norm = c;
      highest = std::max(highest, sum);
      highest_norm = std::max(highest_norm, norm);
      encoded.push_back(std::move(choice));
    }
    result.right += best == row.answer ? 1 : 0;
    result.right_norm += best_norm == row.answer ? 1 : 0;
    result.confusion.Add(row.choices[row.answer], row.choices[best]);
    if (!result.generated) return Ok();
    METIER_ASSIGN(const bool same, WritesFreely(encoded[best], row.choices[best]));
    result.same_as_free += same ? 1 : 0;
    return Ok();
  }

 private:
  LanguageModel& model_;
  const ChoiceReader& reader_;
  data::EncodeOptions options_;
  data::Encoder encoder_;
};

}  // namespace

double ChoiceResult::Accuracy() const { return confusion.Accuracy(); }

Json ChoiceResult::ToJson() const {
  const auto rows = static_cast<double>(confusion.rows());
  Json json = {{"accuracy", Accuracy()},
               {"accuracy_norm", static_cast<double>(right_norm) / rows},
               {"rows", confusion.rows()}};
  if (same_choices) {
    json["macro_f1"] = confusion.MacroF1();
    json["weighted_f1"] = confusion.WeightedF1();
    json["confusion"] = confusion.ToJson();
  }
  if (generated) json["same_as_free"] = static_cast<double>(same_as_free) / rows;
  return json;
}

Result<ChoiceResult> MeasureChoices(LanguageModel& model, const ChoiceReader& reader,
                                    const ChoiceOptions& options, const OnProgress& on_rows) {
  METIER_ASSIGN(data::LineReader lines,
                data::LineReader::Open(options.file, Limits().max_string_bytes));
  std::vector<ChoiceRow> rows;
  std::vector<std::int64_t> line_numbers;
  std::string line;
  while (options.max_rows == 0 || static_cast<std::int64_t>(rows.size()) < options.max_rows) {
    METIER_ASSIGN(const bool more, lines.Next(line));
    if (!more) break;
    if (line.empty()) continue;
    auto row = ReadChoiceRow(line);
    if (!row.ok()) {
      return std::move(row).error().With(
          fmt::format("'{}' line {}", options.file, lines.line_number()));
    }
    rows.push_back(*std::move(row));
    line_numbers.push_back(lines.line_number());
  }
  if (rows.empty()) {
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("'{}': found no row, expected one at least", options.file));
  }
  ChoiceScorer scorer(model, reader);
  ChoiceResult result;
  result.generated = options.generate;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    result.same_choices = result.same_choices && rows[r].choices == rows.front().choices;
    Status scored = scorer.Score(rows[r], result);
    if (!scored.ok()) {
      return std::move(scored).error().With(
          fmt::format("'{}' line {}", options.file, line_numbers[r]));
    }
    METIER_TRY(
        Report(on_rows, r + 1, rows.size(), fmt::format("accuracy {:.3f}", result.Accuracy())));
  }
  return result;
}

}  // namespace metier::evaluate
