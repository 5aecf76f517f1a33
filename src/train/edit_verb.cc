#include "train/edit_verb.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "model/model_files.h"
#include "recipe/edit_config.h"
#include "recipe/fields.h"
#include "train/key_covariance.h"
#include "train/knowledge_edit.h"
#include "train/model_source.h"
#include "train/ops.h"
#include "train/tensor_file.h"

namespace metier::train {
namespace {

constexpr double kMostId = 0x7fffffff;

struct FactRequest {
  Fact fact;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("prompt", fact.prompt, "ids").AtLeast(0).AtMost(kMostId).Required();
    field("subject", fact.subject, "the last token of the subject in it").Required();
    field("target", fact.target, "ids that are to follow").AtLeast(0).AtMost(kMostId).Required();
    field("essence", fact.essence, "ids of a text that says what the subject is")
        .AtLeast(0)
        .AtMost(kMostId)
        .Required();
    field("essence_subject", fact.essence_subject, "the subject's last token in it").Required();
    field("layer", fact.layer, "instead of the settings'").AtLeast(-1);
  }
};

struct KeepRequest {
  Ids prompt;
  Ids answer;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("prompt", prompt, "ids").AtLeast(0).AtMost(kMostId).Required();
    field("answer", answer, "ids; none: the next token alone is looked at")
        .AtLeast(0)
        .AtMost(kMostId);
  }
};

struct EditRequest {
  std::string model;
  Ids begin;
  std::vector<FactRequest> facts;
  std::vector<KeepRequest> keep;
  std::vector<Ids> texts;
  recipe::EditConfig settings;
  std::string out;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("model", model, "Hugging Face directory").Required();
    field("begin", begin, "ids that begin every text").AtLeast(0).AtMost(kMostId);
    field("facts", facts, "what is to be known").Required();
    field("keep", keep, "prompts whose answers must stay");
    field("texts", texts, "ids of texts whose keys must stay")
        .AtLeast(0)
        .AtMost(kMostId)
        .Required();
    field("settings", settings, "of the edit");
    field("out", out, "safetensors file to write").Required();
  }
};

constexpr std::int64_t kLongestText = 512;  // tokens that the texts' keys are read with

// What the requests' ids may be.
class IdCheck {
 public:
  IdCheck(const model::ModelSpec& spec, std::size_t begin) : spec_(spec), begin_(begin) {}

  // A list that is read behind `before` tokens of others.
  Status List(const std::string& path, const Ids& ids, std::size_t before) const {
    const auto total = static_cast<std::int64_t>(ids.size() + before + begin_);
    if (ids.empty() || total > spec_.max_positions) {
      return Error(ErrorCode::kInvalidArgument,
                   fmt::format("{}: {} tokens behind {}, expected 1 or more and {} in all at most",
                               path, ids.size(), before + begin_, spec_.max_positions));
    }
    return Vocabulary(path, ids);
  }

  Status Vocabulary(const std::string& path, const Ids& ids) const {
    for (const std::int32_t id : ids) {
      if (id >= 0 && id < spec_.vocab) continue;
      return Error(ErrorCode::kInvalidArgument,
                   fmt::format("{}: id {} is outside the vocabulary of {}", path, id, spec_.vocab));
    }
    return Ok();
  }

  static Status Place(const std::string& path, std::int64_t place, const Ids& ids) {
    if (place >= 0 && place < static_cast<std::int64_t>(ids.size())) return Ok();
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("{}: token {} of {}", path, place, ids.size()));
  }

 private:
  const model::ModelSpec& spec_;
  std::size_t begin_;
};

Status CheckIds(const EditRequest& request, const model::ModelSpec& spec) {
  const IdCheck check(spec, request.begin.size());
  METIER_TRY(check.Vocabulary("begin", request.begin));
  if (request.facts.empty()) return Error(ErrorCode::kInvalidArgument, "facts: none is given");
  if (request.texts.empty()) return Error(ErrorCode::kInvalidArgument, "texts: none is given");
  const auto prefix =
      static_cast<std::size_t>(request.settings.prefixes > 0 ? request.settings.prefix_tokens : 0);
  for (std::size_t i = 0; i < request.facts.size(); ++i) {
    const Fact& fact = request.facts[i].fact;
    const std::string path = fmt::format("facts[{}].", i);
    METIER_TRY(check.List(path + "prompt", fact.prompt, prefix));
    METIER_TRY(check.List(path + "target", fact.target, prefix + fact.prompt.size()));
    METIER_TRY(check.List(path + "essence", fact.essence, 1));
    METIER_TRY(IdCheck::Place(path + "subject", fact.subject, fact.prompt));
    METIER_TRY(IdCheck::Place(path + "essence_subject", fact.essence_subject, fact.essence));
  }
  for (std::size_t i = 0; i < request.keep.size(); ++i) {
    const KeepRequest& keep = request.keep[i];
    METIER_TRY(check.List(fmt::format("keep[{}].prompt", i), keep.prompt, 1));
    METIER_TRY(check.Vocabulary(fmt::format("keep[{}].answer", i), keep.answer));
    if (keep.answer.empty()) continue;
    METIER_TRY(check.List(fmt::format("keep[{}].answer", i), keep.answer, keep.prompt.size()));
  }
  for (std::size_t i = 0; i < request.texts.size(); ++i)
    METIER_TRY(check.Vocabulary(fmt::format("texts[{}]", i), request.texts[i]));
  if (static_cast<std::int64_t>(request.begin.size()) >= std::min(kLongestText, spec.max_positions))
    return Error(ErrorCode::kInvalidArgument, "begin: leaves no room for a text");
  return Ok();
}

// The first so many tokens of all texts.
std::vector<Ids> FirstTokens(std::vector<Ids> texts, std::int64_t tokens) {
  auto left = static_cast<std::size_t>(tokens);
  std::vector<Ids> taken;
  for (Ids& text : texts) {
    if (left == 0) break;
    if (text.size() > left) text.resize(left);
    left -= text.size();
    if (!text.empty()) taken.push_back(std::move(text));
  }
  return taken;
}

// What the network says to facts and kept prompts, in this order.
std::vector<AnswerReading> ReadAnswers(const Network& network, const EditRequest& request) {
  std::vector<AnswerReading> readings;
  for (const FactRequest& each : request.facts)
    readings.push_back(ReadAnswer(network, request.begin, each.fact.prompt, each.fact.target));
  for (const KeepRequest& keep : request.keep) {
    // Any token: where there is no answer, the place behind the prompt is looked at.
    const Ids answer = keep.answer.empty() ? Ids{0} : keep.answer;
    readings.push_back(ReadAnswer(network, request.begin, keep.prompt, answer));
  }
  return readings;
}

class EditReport {
 public:
  EditReport(const EditRequest& request, const std::vector<AnswerReading>& before,
             const std::vector<AnswerReading>& after)
      : request_(request), before_(before), after_(after) {}

  Json Facts(const std::vector<WrittenFact>& written) const {
    Json facts = Json::array();
    for (std::size_t i = 0; i < written.size(); ++i) {
      facts.push_back({{"layers", written[i].layers},
                       {"steps", written[i].steps},
                       {"objective", written[i].objective},
                       {"change", written[i].change},
                       {"probability_before", std::exp(before_[i].log_probability)},
                       {"probability_after", std::exp(after_[i].log_probability)},
                       {"answered_before", Answered(before_, i)},
                       {"answered", Answered(after_, i)}});
    }
    return facts;
  }

  double Efficacy() const {
    std::int64_t answered = 0;
    for (std::size_t i = 0; i < request_.facts.size(); ++i) answered += Answered(after_, i) ? 1 : 0;
    return static_cast<double>(answered) / static_cast<double>(request_.facts.size());
  }

  // Null: nothing was to be kept.
  Json Keep() const {
    const std::size_t prompts = request_.keep.size();
    if (prompts == 0) return nullptr;
    Json changed = Json::array();
    double sums[2] = {0, 0};
    std::size_t answers = 0;
    for (std::size_t i = 0; i < prompts; ++i) {
      const std::size_t at = request_.facts.size() + i;
      if (before_[at].best != after_[at].best) changed.push_back(i);
      if (request_.keep[i].answer.empty()) continue;
      ++answers;
      sums[0] += std::exp(before_[at].log_probability);
      sums[1] += std::exp(after_[at].log_probability);
    }
    const auto mean = [answers](double sum) {
      return answers == 0 ? Json(nullptr) : Json(sum / static_cast<double>(answers));
    };
    const double drift = static_cast<double>(changed.size()) / static_cast<double>(prompts);
    return {{"prompts", prompts},
            {"changed", std::move(changed)},
            {"drift", drift},
            {"probability_before", mean(sums[0])},
            {"probability_after", mean(sums[1])}};
  }

 private:
  bool Answered(const std::vector<AnswerReading>& readings, std::size_t fact) const {
    return readings[fact].best == request_.facts[fact].fact.target;
  }

  const EditRequest& request_;
  const std::vector<AnswerReading>& before_;
  const std::vector<AnswerReading>& after_;
};

std::int64_t LongestSequence(const EditRequest& request, const std::vector<Ids>& prefixes,
                             const model::ModelSpec& spec) {
  std::size_t longest = static_cast<std::size_t>(std::min(kLongestText, spec.max_positions));
  const std::size_t prefix = prefixes.empty() ? 0 : prefixes.front().size();
  const std::size_t begin = request.begin.size();
  for (const FactRequest& each : request.facts) {
    const Fact& fact = each.fact;
    longest = std::max({longest, begin + prefix + fact.prompt.size() + fact.target.size(),
                        begin + fact.essence.size() + 1});
  }
  for (const KeepRequest& keep : request.keep) {
    const std::size_t answer = std::max<std::size_t>(keep.answer.size(), 1);
    longest = std::max(longest, begin + keep.prompt.size() + answer);
  }
  return static_cast<std::int64_t>(longest);
}

Result<Network> NetworkOf(const model::ModelFiles& files, const recipe::EditConfig& settings,
                          std::int64_t longest) {
  METIER_ASSIGN(const at::Device device, ParseDevice(settings.device));
  NetworkOptions options;
  options.device = device;
  options.training = Training::kFrozen;
  options.longest = longest;
  if (settings.dtype == "bfloat16") options.precision.act = at::kBFloat16;
  SetProducts(options.precision);
  return Network::Create(files.spec(), options,
                         [&files](const std::string& name) { return files.LoadF32(name); });
}

}  // namespace

Result<Json> EditModel(const Json& document, const EventSink& sink) {
  EditRequest request;
  METIER_TRY(recipe::ReadFields(document, "edit", request));
  const recipe::EditConfig& settings = request.settings;
  SetThreads(settings.threads);
  METIER_ASSIGN(const model::ModelFiles files, model::ModelFiles::Open(request.model));
  const model::ModelSpec& spec = files.spec();
  std::vector<Fact> facts;
  for (const FactRequest& each : request.facts) facts.push_back(each.fact);
  METIER_ASSIGN(const std::vector<std::int64_t> layers, LayersToEdit(spec, settings, facts));
  METIER_TRY(CheckIds(request, spec));
  const std::vector<Ids> texts = FirstTokens(request.texts, settings.texts_tokens);
  METIER_ASSIGN(const std::vector<Ids> prefixes,
                DrawPrefixes(texts, settings.prefixes, settings.prefix_tokens,
                             static_cast<std::uint64_t>(settings.seed)));
  METIER_ASSIGN(Network network,
                NetworkOf(files, settings, LongestSequence(request, prefixes, spec)));
  const auto tell = [&sink](const char* event, std::int64_t done, std::int64_t total) {
    return sink && sink({{"event", event}, {"done", done}, {"total", total}});
  };

  const std::vector<AnswerReading> before = ReadAnswers(network, request);
  std::int64_t tokens = 0;
  for (const Ids& text : texts) tokens += static_cast<std::int64_t>(text.size());
  METIER_ASSIGN(
      const auto covariances,
      KeyCovariances(network, texts, request.begin, std::min(kLongestText, spec.max_positions),
                     layers, settings.ridge, [&](std::int64_t done) {
                       return tell("keys", std::min(done, tokens), tokens);
                     }));
  EditedWeights weights(network, files);
  const EditInputs inputs{facts, request.begin, prefixes, layers, covariances};
  METIER_ASSIGN(
      const std::vector<WrittenFact> written,
      WriteFacts(network, inputs, settings, weights, [&](std::size_t fact, std::int64_t, double) {
        return tell("facts", static_cast<std::int64_t>(fact),
                    static_cast<std::int64_t>(facts.size()));
      }));
  tell("facts", static_cast<std::int64_t>(facts.size()), static_cast<std::int64_t>(facts.size()));
  const std::vector<AnswerReading> after = ReadAnswers(network, request);
  const std::vector<NamedTensor> tensors = weights.Tensors();
  METIER_TRY(SaveTensors(request.out, tensors, "metier-edit"));

  const std::vector<double> changes = weights.Changes();
  Json parameters = Json::array();
  for (std::size_t i = 0; i < tensors.size(); ++i)
    parameters.push_back({{"name", tensors[i].name}, {"change", changes[i]}});
  const EditReport report(request, before, after);
  return Json{{"layers", layers},
              {"parameters", std::move(parameters)},
              {"facts", report.Facts(written)},
              {"efficacy", report.Efficacy()},
              {"keep", report.Keep()},
              {"texts_tokens", tokens}};
}

}  // namespace metier::train
