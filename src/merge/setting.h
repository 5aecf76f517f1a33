// merge/setting.h - a number of a merge that may change along the layers and from tensor to tensor.
//
//   weight: 0.3                                   the same everywhere
//   weight: [0, 0.5, 1]                           a gradient: these at equal distances over the
//                                                 layers, and straight lines between them
//   weight:                                       the first filter that a tensor's name contains;
//     - {filter: self_attn, value: [0, 1]}        names are those of the Hugging Face model
//     - {filter: mlp, value: 0.5}
//     - {value: 0.7}                              every other tensor ("*" is the same)
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "recipe/fields.h"

namespace metier::merge {

class Setting {
 public:
  // Not given: At finds nothing.
  Setting() = default;

  // Null: not given. `path` is the place in the document, for messages. A bool is 1 or 0.
  // kDataCorrupt: another form, a number outside of the constraint. kInvalidArgument: a number that
  // is left open (merge/open_numbers.h).
  static Result<Setting> Parse(const Json& value, const std::string& path,
                               const recipe::Constraint& constraint);

  bool given() const { return !rules_.empty(); }

  // The value for a tensor of this name that lies at `position` in [0, 1] along the layers.
  // Nothing: no filter matches, and the next wider setting decides.
  std::optional<double> At(std::string_view tensor, double position) const;

  // The filters as written, "" and "*" left out.
  std::vector<std::string> Filters() const;

 private:
  struct Rule {
    std::string filter;          // "": every tensor
    std::vector<double> values;  // at least one
  };
  std::vector<Rule> rules_;
};

}  // namespace metier::merge
