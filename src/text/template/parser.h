// text/template/parser.h - tokens to a template, by Jinja's grammar.
//
// Left out, and refused by name: template inheritance and imports (extends, block, include, import,
// from), autoescape, recursive loops, *args and **kwargs in calls, line statements. No published
// chat template uses them, and most would need input or output.
#pragma once

#include <string_view>

#include "base/limits.h"
#include "base/result.h"
#include "text/template/ast.h"

namespace metier::text::jinja {

// kDataCorrupt: a syntax error. kUnsupported: a construct, filter or test outside the subset. Both
// with line and construct.  kResourceExhausted: nested too deeply, or over
// limits.max_template_bytes.
Result<Body> ParseTemplate(std::string_view source, const Limits& limits);

// Nesting of expressions and of statements, each.
inline constexpr int kMaxSyntaxDepth = 200;

}  // namespace metier::text::jinja
