// merge/open_numbers.h - the numbers that a configuration leaves open, to be found by a search.
//
//   weight: {search: [0, 1]}                          one number between 0 and 1
//   density: {search: [0.1, 1], start: 0.5}           the search begins at 0.5, not in the middle
//   weight: {search: [0, 1], points: 4}               a gradient of four numbers over the layers
//
// Such a mapping may stand wherever a parameter's value may: under `parameters`, also as the value
// of a filter. Filled in, the document is a configuration like any other.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace metier::merge {

struct OpenNumber {
  std::string path;  // "models[1].parameters.weight", with "[2]" behind it in a gradient
  double low = 0;
  double high = 1;
  double start = 0.5;
};

// A mapping with the key `search`.
bool IsOpenNumber(const Json& value);

// In the order of the document. kDataCorrupt: an open number of another form, by its path; none at
// all.
Result<std::vector<OpenNumber>> FindOpenNumbers(const Json& document);

// The document with these numbers in their places. Requires as many as FindOpenNumbers gives.
Json FillOpenNumbers(const Json& document, std::span<const double> numbers);

}  // namespace metier::merge
