#include "train/write_adapter.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/hash.h"
#include "recipe/fields.h"
#include "train/hyper_tasks.h"
#include "train/hypernetwork.h"
#include "train/model_source.h"
#include "train/network.h"
#include "train/ops.h"
#include "train/torch.h"

namespace metier::train {
namespace {

struct WriteRequest {
  std::string hypernetwork;
  std::string model;
  std::string describe;
  std::vector<std::int64_t> description_ids;
  std::string out;
  std::string device = "cpu";
  std::int64_t threads = 0;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("hypernetwork", hypernetwork, "directory of a run").Required();
    field("model", model, "the base that it was trained on").Required();
    field("describe", describe, "what the task is").Required();
    field("description_ids", description_ids, "the same in tokens").Required();
    field("out", out, "folder of the adapter").Required();
    field("device", device, "cpu, cuda or cuda:N");
    field("threads", threads, "0: all").AtLeast(0).AtMost(1024);
  }
};

}  // namespace

Result<Json> WriteAdapter(const Json& document) {
  WriteRequest request;
  METIER_TRY(recipe::ReadFields(document, "write_adapter", request));
  SetThreads(request.threads);
  METIER_ASSIGN(const at::Device device, ParseDevice(request.device));
  METIER_ASSIGN(const ModelSource source, OpenModelAt(request.model));
  METIER_ASSIGN(const std::string base_hash, HashModel(request.model));
  METIER_ASSIGN(const model::HyperFiles config, model::OpenHyper(request.hypernetwork));
  METIER_TRY(CheckBase(config, request.hypernetwork, request.model, base_hash));
  METIER_ASSIGN(const Hypernetwork hypernetwork,
                Hypernetwork::Load(source.spec, request.hypernetwork, at::kFloat, device));
  NetworkOptions options;
  options.device = device;
  options.training = Training::kFrozen;
  options.longest =
      std::max<std::int64_t>(1, static_cast<std::int64_t>(request.description_ids.size()));
  // As it read the descriptions that it learned from.
  options.precision.act = ProductType(config.bf16, device);
  SetProducts(options.precision);
  METIER_ASSIGN(const Network base, Network::Create(source.spec, options, source.read));
  METIER_ASSIGN(const at::Tensor description, ReadDescription(base, request.description_ids));
  const torch::NoGradGuard no_grad;
  const LoraSet adapter = hypernetwork.AdapterFor(description);
  METIER_TRY(adapter.Save(request.out, request.model));
  METIER_ASSIGN(const std::string weights, Sha256OfFile(model::HyperTensors(request.hypernetwork)));
  const Json manifest = {{"kind", "adapter"},
                         {"program", "metier " METIER_VERSION},
                         {"libtorch", TORCH_VERSION},
                         {"describe", request.describe},
                         {"description_ids", request.description_ids},
                         {"hypernetwork", request.hypernetwork},
                         {"inputs", {{"model", base_hash}, {"hypernetwork", weights}}}};
  METIER_TRY(WriteFileAtomic(request.out + "/manifest.json", DumpPretty(manifest)));
  return Json{{"out", request.out},
              {"base", request.model},
              {"rank", config.rank},
              {"modules", adapter.modules().size()},
              {"tokens", request.description_ids.size()}};
}

}  // namespace metier::train
