// base/json.h - JSON and YAML documents: read with limits, key order kept, duplicates refused.
//
// Key order matters to us: chat templates print objects in the order in which they were written,
// and a config that we rewrite should differ only where we changed it. `ordered_json` looks keys up
// by walking, so do not look names up in objects of thousands of keys: iterate over them once (a
// vocabulary is read that way).
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/limits.h"
#include "base/result.h"

namespace metier {

using Json = nlohmann::ordered_json;

// kDataCorrupt: not JSON, invalid UTF-8, a key twice in one object (with the byte position).
// kResourceExhausted: over limits.max_json_bytes or max_json_depth.  Cost: linear, also for huge
// objects. Integers beyond 64 bits become floats, as every reader with fixed numbers has it.
Result<Json> ParseJson(std::string_view text, const Limits& limits = {});

// Reads and parses a file; errors carry the path.
Result<Json> ReadJsonFile(const std::string& path, const Limits& limits = {});

// One YAML document as the same Json type: plain scalars by the core schema of YAML 1.2 ("yes" and
// "on" are strings, 0x10 and 0o17 integers), quoted ones and keys as strings, aliases expanded, an
// empty text as null. kDataCorrupt: syntax, a key twice, a key that is no text, invalid UTF-8,
// control characters, several documents. kUnsupported: tags beyond !!str, !!int, !!float, !!bool,
// !!null, !!seq, !!map. kResourceExhausted: over limits.max_yaml_bytes, max_json_depth, or
// max_yaml_nodes with aliases counted out.
Result<Json> ParseYaml(std::string_view text, const Limits& limits = {});
Result<Json> ReadYamlFile(const std::string& path, const Limits& limits = {});

// Block-style YAML that ParseYaml reads back as the same value.
std::string DumpYaml(const Json& value);

// As Python's json.dumps(ensure_ascii=False): ", " and ": " between items. What templates and
// hashes of data use. Invalid UTF-8 is replaced, never thrown on. Recurses: the value is one that
// was read with a depth limit, or our own.
std::string DumpPython(const Json& value);

// repr() of a Python float: shortest digits that read back, "1.0" and not "1", "1e-05" and not
// "0.00001"; "inf", "-inf" and "nan" (DumpPython writes those as json.dumps does: Infinity, NaN).
std::string PythonFloat(double value);

// Compact text ({"a":1}) and text with two-space indent and a final newline; invalid UTF-8 is
// replaced.
std::string DumpCompact(const Json& value);
std::string DumpPretty(const Json& value);

}  // namespace metier
