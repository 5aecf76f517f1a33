// model/edit_files.h - edits of a model's weights that can be taken back to the bit: a stack in the
// edited model's own directory.
//
//   DIR/edits.json         {"format": "metier-edits", "version": 1, "edits": [EDIT, ...]}
//   DIR/edits.safetensors  "N.TENSOR" for each tensor that edit N (from 0) changed: its bytes
//                          before, in the stored type
//
//   EDIT  {"about": what made it, anything,
//          "before": {FILE: SHA-256, ...}, "after": {FILE: SHA-256, ...}}  of the weights' files
//
// The weights' files are changed in place of a tensor's bytes alone, so taking an edit back gives
// the files byte for byte, and the hashes prove it. Why whole tensors and not differences: in
// floating point W + D - D is not W (docs/adr/0026).
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "base/limits.h"
#include "base/result.h"
#include "model/model_files.h"

namespace metier::model {

// Whether the directory holds a stack of edits.
bool IsEdited(const std::string& folder);

// The stack's entries, the oldest first; none where the directory was not edited. kDataCorrupt: not
// what the header above says.
Result<std::vector<Json>> ReadEdits(const std::string& folder, const Limits& limits = {});

// Writes the weights of the Hugging Face directory `from` with `changed` tensors in the place of
// its own, and its stack with one more entry, into the folder `to` (created). config.json and
// tokenizer are the caller's. kInvalidArgument: no tensor, or one that `from` has not with this
// type and shape. kDataCorrupt: the weights of `from` are not those that its newest edit left.
Status WriteEdit(const std::string& from, const std::string& to,
                 const std::vector<FileTensor>& changed, const Json& about);

// Writes the weights of `from` as they were before its newest `count` edits, and what is left of
// the stack, into the folder `to` (created). kInvalidArgument: it has fewer edits. kDataCorrupt:
// the weights are not those that the newest edit left (with both hashes), or what was kept does not
// give what was there before.
Status WriteReverted(const std::string& from, const std::string& to, std::size_t count);

}  // namespace metier::model
