// proof/minif2f.h - the Metamath statements of miniF2F, as Metamath.
//
// Each file of that benchmark holds one theorem in the language of set.mm, a database of 50 MB that
// is not part of it: symbols, variables and lemmas are set.mm's. Files come in two forms:
//
//   ${ x.1 $e |- ... $.  x $p |- ... $= ( ... ) AB $. $}          as it is
//   $( @{ x.1 @e |- ... $@  x @p |- ... @= ? @. @} $)             all of it a comment
//
// The second is how set.mm keeps statements that have no proof yet: one comment, with @ for $
// inside. Read as it stands such a file says nothing at all.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace metier::proof {

// The file's theorem as text that can follow a database: the outer comment taken off and its @
// turned into $ where the file has the second form, the file itself where it has the first. `$@`,
// by which the files end hypotheses, is $. there, or the begin or end of a comment between
// statements. kDataCorrupt: neither of the forms.
Result<std::string> Minif2fTheorem(std::string_view file);

}  // namespace metier::proof
