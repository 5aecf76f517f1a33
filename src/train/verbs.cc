// The verbs of the plug-in; include/metier/train_plugin.h says what each takes and gives.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "base/nearest.h"
#include "base/thread_pool.h"
#include "format/prefix_tuning.h"
#include "format/safetensors.h"
#include "model/mixture_files.h"
#include "recipe/fields.h"
#include "train/cpu/kernels.h"
#include "train/edit_verb.h"
#include "train/forecast.h"
#include "train/model_source.h"
#include "train/network.h"
#include "train/plugin.h"
#include "train/torch.h"
#include "train/write_adapter.h"

namespace metier::train {
namespace {

struct LogitsRequest {
  std::string model;
  std::string adapter;
  std::vector<std::vector<std::int64_t>> tokens;
  std::vector<std::vector<std::int64_t>> types;
  std::string device = "cpu";
  std::string dtype = "float32";
  std::int64_t threads = 0;
  std::string out;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("model", model, "Hugging Face directory or GGUF file").Required();
    field("adapter", adapter,
          "PEFT directory (LoRA or prefix), a mixture's, or one of singular values");
    field("tokens", tokens, "ids of each sequence").Required();
    field("types", types, "token types of each sequence (encoders)");
    field("device", device, "cpu, cuda or cuda:N");
    field("dtype", dtype, "of matrix products").OneOf({"float32", "bfloat16"});
    field("threads", threads, "0: all").AtLeast(0).AtMost(1024);
    field("out", out, "safetensors file to write").Required();
  }
};

Status CheckRequest(const LogitsRequest& request, const model::ModelSpec& spec) {
  if (request.tokens.empty())
    return Error(ErrorCode::kInvalidArgument, "tokens: no sequence given");
  if (!request.types.empty() && request.types.size() != request.tokens.size())
    return Error(ErrorCode::kInvalidArgument, "types: expected one list for each of tokens");
  for (std::size_t s = 0; s < request.tokens.size(); ++s) {
    const auto length = static_cast<std::int64_t>(request.tokens[s].size());
    if (length == 0 || length > spec.max_positions) {
      return Error(
          ErrorCode::kInvalidArgument,
          fmt::format("tokens[{}]: {} tokens, expected 1 to {}", s, length, spec.max_positions));
    }
    for (const std::int64_t id : request.tokens[s]) {
      if (id < 0 || id >= spec.vocab) {
        return Error(
            ErrorCode::kInvalidArgument,
            fmt::format("tokens[{}]: id {} is outside the vocabulary of {}", s, id, spec.vocab));
      }
    }
    if (request.types.empty()) continue;
    if (request.types[s].size() != request.tokens[s].size())
      return Error(ErrorCode::kInvalidArgument, fmt::format("types[{}]: not as long as tokens", s));
    for (const std::int64_t type : request.types[s]) {
      if (type < 0 || type >= spec.types)
        return Error(ErrorCode::kInvalidArgument, fmt::format("types[{}]: no type {}", s, type));
    }
  }
  return Ok();
}

Batch BatchOf(const LogitsRequest& request, at::Device device) {
  Batch batch;
  std::vector<std::int64_t> tokens;
  std::vector<std::int64_t> types;
  for (const auto& sequence : request.tokens) {
    tokens.insert(tokens.end(), sequence.begin(), sequence.end());
    batch.layout.starts.push_back(static_cast<std::int64_t>(tokens.size()));
  }
  for (const auto& sequence : request.types)
    types.insert(types.end(), sequence.begin(), sequence.end());
  batch.tokens = torch::tensor(tokens, at::kLong).to(device);
  if (!types.empty()) batch.types = torch::tensor(types, at::kLong).to(device);
  return batch;
}

// An adapter, singular values, a prefix, or a mixture by token.
Status PutOn(const std::string& folder, const ModelSource& source, Network& network) {
  const at::Device device = network.options().device;
  if (model::IsSvf(folder)) {
    METIER_ASSIGN(SvfSet set, SvfSet::Load(network.spec(), folder, network.options().precision,
                                           device, source.read));
    network.SetSingularValues(std::move(set));
    return Ok();
  }
  if (format::IsPrefixTuning(folder)) {
    METIER_ASSIGN(PrefixSet prefix, PrefixSet::Load(network.spec(), folder, at::kFloat, device));
    network.SetPrefix(std::move(prefix));
    return Ok();
  }
  if (!model::IsMixture(folder)) {
    METIER_ASSIGN(LoraSet lora, LoraSet::Load(network.spec(), folder, at::kFloat, device));
    network.SetLora(std::move(lora));
    return Ok();
  }
  METIER_ASSIGN(
      MixtureSet mixture,
      MixtureSet::Load(network.spec(), folder, MixtureSet::Learns::kNothing, at::kFloat, device));
  if (mixture.by() == model::RouteBy::kSequence) {
    return Error(ErrorCode::kUnsupported,
                 fmt::format("mixture '{}' routes whole sequences by their prompt, and tokens "
                             "alone do not say what the prompt is; use one of its experts",
                             folder));
  }
  network.SetMixture(std::move(mixture));
  return Ok();
}

// Writes "logits.N" F32 [tokens, vocab] of each sequence, or "hidden.N" [tokens, width] of an
// encoder.
Result<Json> Logits(const Json& document) {
  LogitsRequest request;
  METIER_TRY(recipe::ReadFields(document, "logits", request));
  SetThreads(request.threads);
  METIER_ASSIGN(const at::Device device, ParseDevice(request.device));
  METIER_ASSIGN(const ModelSource source, OpenModelAt(request.model));
  METIER_TRY(model::CheckRunsWithoutTask(source.spec));
  METIER_TRY(CheckRequest(request, source.spec));
  NetworkOptions options;
  options.device = device;
  options.training = Training::kFrozen;
  for (const auto& sequence : request.tokens)
    options.longest = std::max(options.longest, static_cast<std::int64_t>(sequence.size()));
  if (request.dtype == "bfloat16") options.precision.act = at::kBFloat16;
  SetProducts(options.precision);
  METIER_ASSIGN(Network network, Network::Create(source.spec, options, source.read));
  if (!request.adapter.empty()) METIER_TRY(PutOn(request.adapter, source, network));
  const torch::NoGradGuard no_grad;
  const Batch batch = BatchOf(request, device);
  const at::Tensor all = (source.spec.head ? network.Logits(batch) : network.Hidden(batch))
                             .to(at::kCPU, at::kFloat)
                             .contiguous();
  std::vector<format::NamedTensor> tensors;
  const auto* bytes = static_cast<const std::byte*>(all.data_ptr());
  const std::size_t row_bytes = static_cast<std::size_t>(all.size(1)) * sizeof(float);
  for (std::size_t s = 0; s < request.tokens.size(); ++s) {
    format::NamedTensor named;
    named.name = fmt::format("{}.{}", source.spec.head ? "logits" : "hidden", s);
    named.tensor.dtype = tensor::DType::kF32;
    const auto rows = static_cast<std::int64_t>(request.tokens[s].size());
    named.tensor.shape = {rows, all.size(1)};
    named.tensor.bytes = {bytes + static_cast<std::size_t>(batch.layout.starts[s]) * row_bytes,
                          static_cast<std::size_t>(rows) * row_bytes};
    tensors.push_back(std::move(named));
  }
  METIER_TRY(format::WriteSafetensors(request.out, tensors, {}));
  return Json{{"out", request.out}, {"sequences", request.tokens.size()}};
}

Result<Json> Info() {
  return Json{{"libtorch", TORCH_VERSION},
              {"cuda", torch::cuda::is_available()},
              {"cuda_devices", static_cast<std::int64_t>(torch::cuda::device_count())},
              {"threads", ThreadPool::DefaultThreads()},
              {"instruction_set", cpu::Kernels(cpu::Real::kF32).name},
              {"version", METIER_VERSION}};
}

}  // namespace

Result<Json> CallVerb(const std::string& verb, const Json& request, const EventSink& sink,
                      const Ask& ask) {
  if (verb == "info") return Info();
  if (verb == "logits") return Logits(request);
  if (verb == "write_adapter") return WriteAdapter(request);
  if (verb == "train" || verb == "plan") {
    METIER_ASSIGN(const recipe::TrainConfig config, recipe::ParseTrainConfig(request));
    return verb == "plan" ? Forecast(config, sink) : Train(config, sink, ask);
  }
  if (verb == "edit") return EditModel(request, sink);
  const std::vector<std::string> known = {"info",   "train",         "plan",
                                          "logits", "write_adapter", "edit"};
  const std::string nearest = NearestName(verb, known);
  return Error(
      ErrorCode::kInvalidArgument,
      fmt::format("the plug-in has no verb '{}'{}", verb,
                  nearest.empty() ? fmt::format(": expected one of {}", fmt::join(known, ", "))
                                  : fmt::format(": did you mean '{}'?", nearest)));
}

}  // namespace metier::train
