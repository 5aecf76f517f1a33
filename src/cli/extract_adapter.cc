#include "cli/extract_adapter.h"

#include <utility>

#include "base/progress.h"
#include "cli/model_folder.h"
#include "format/peft.h"
#include "merge/compatible.h"
#include "merge/source_model.h"

namespace metier::cli {

Result<Json> ExtractAdapter(const ExtractRequest& request) {
  METIER_ASSIGN(const std::string out, NewPath(request.out));
  METIER_ASSIGN(const merge::SourceModel base, merge::OpenSourceModel(request.base));
  METIER_ASSIGN(const merge::SourceModel tuned, merge::OpenSourceModel(request.tuned));
  if (base.tokenizer && tuned.tokenizer) {
    METIER_TRY(
        merge::CheckSameTokens(request.base, *base.tokenizer, request.tuned, *tuned.tokenizer));
  }
  METIER_ASSIGN(merge::Extraction extracted,
                merge::ExtractAdapter(base.spec, base.read, tuned.spec, tuned.read, request.options,
                                      ShowProgress("extract")));
  extracted.config.base_model = request.base;
  FolderInTheMaking folder(out);
  METIER_TRY(format::WritePeftAdapter(folder.path(), extracted.config, extracted.modules,
                                      extracted.saved));
  METIER_TRY(folder.Finish());
  Json modules = Json::array();
  for (const merge::ExtractedModule& module : extracted.report) {
    modules.push_back({{"module", module.path},
                       {"rank", module.rank},
                       {"change", module.change},
                       {"error", module.error}});
  }
  return Json{{"out", out},
              {"rank", extracted.config.rank},
              {"modules", std::move(modules)},
              {"left_out", extracted.left_out}};
}

}  // namespace metier::cli
