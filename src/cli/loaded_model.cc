#include "cli/loaded_model.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "engine/native_model.h"
#include "model/adapter_files.h"
#include "model/model_files.h"

namespace metier::cli {

Result<specialist::LoadedModel> LoadModel(const std::string& base, const std::string& adapter,
                                          const engine::NativeOptions& options) {
  METIER_ASSIGN(const model::ModelFiles files, model::ModelFiles::Open(base));
  METIER_ASSIGN(auto weights, engine::NativeModel::FromFiles(files));
  specialist::LoadedModel loaded;
  loaded.backend = std::make_unique<engine::NativeBackend>(std::move(weights), options);
  if (!adapter.empty()) {
    METIER_ASSIGN(const model::AdapterFiles opened, model::OpenAdapter(files.spec(), adapter));
    METIER_ASSIGN(loaded.adapter, model::AddAdapter(*loaded.backend, opened));
  }
  return loaded;
}

std::int64_t RowWidth(const model::ModelSpec& spec) { return spec.head ? spec.vocab : spec.width; }

Status ForEachRow(const specialist::LoadedModel& loaded, std::span<const model::TokenId> tokens,
                  const RowSink& take) {
  model::Backend& backend = *loaded.backend;
  METIER_ASSIGN(const model::SequenceId sequence, backend.OpenSequence(loaded.adapter));
  constexpr std::size_t kChunkTokens = 256;  // logits of a large vocabulary: 128 MB
  const std::size_t chunk = backend.spec().causal ? kChunkTokens : tokens.size();
  Status done = Ok();
  for (std::size_t begin = 0; begin < tokens.size() && done.ok(); begin += chunk) {
    model::SequenceStep step;
    step.sequence = sequence;
    step.tokens = tokens.subspan(begin, std::min(chunk, tokens.size() - begin));
    step.want = model::Want::kAll;
    auto rows = backend.Forward({&step, 1});
    done = rows.ok() ? take(rows->front()) : Status(std::move(rows).error());
  }
  backend.CloseSequence(sequence);
  return done;
}

}  // namespace metier::cli
