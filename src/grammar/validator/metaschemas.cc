#include "grammar/validator/metaschemas.h"

#include <array>
#include <map>

#include "base/check.h"

namespace metier::grammar::validator {
namespace {

constexpr std::string_view kSchema202012 = R"({
"$schema": "https://json-schema.org/draft/2020-12/schema",
"$id": "https://json-schema.org/draft/2020-12/schema",
"$vocabulary": {
  "https://json-schema.org/draft/2020-12/vocab/core": true,
  "https://json-schema.org/draft/2020-12/vocab/applicator": true,
  "https://json-schema.org/draft/2020-12/vocab/unevaluated": true,
  "https://json-schema.org/draft/2020-12/vocab/validation": true,
  "https://json-schema.org/draft/2020-12/vocab/format-annotation": true,
  "https://json-schema.org/draft/2020-12/vocab/content": true,
  "https://json-schema.org/draft/2020-12/vocab/meta-data": true},
"$dynamicAnchor": "meta",
"type": ["boolean", "object"],
"allOf": [{"$ref": "meta/core"}, {"$ref": "meta/applicator"}, {"$ref": "meta/unevaluated"},
  {"$ref": "meta/validation"}, {"$ref": "meta/format-annotation"}, {"$ref": "meta/content"},
  {"$ref": "meta/meta-data"}],
"properties": {
  "$recursiveAnchor": {"$ref": "meta/core#/$defs/anchorString"},
  "$recursiveRef": {"$ref": "meta/core#/$defs/uriReferenceString"},
  "definitions": {"type": "object", "additionalProperties": {"$dynamicRef": "#meta"}},
  "dependencies": {"type": "object", "additionalProperties": {
    "anyOf": [{"$ref": "meta/validation#/$defs/stringArray"}, {"$dynamicRef": "#meta"}]}}}
})";

constexpr std::string_view kCore202012 = R"({
"$schema": "https://json-schema.org/draft/2020-12/schema",
"$id": "https://json-schema.org/draft/2020-12/meta/core",
"$dynamicAnchor": "meta",
"type": ["boolean", "object"],
"$defs": {
  "anchorString": {"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9._-]*$"},
  "uriString": {"type": "string", "format": "uri"},
  "uriReferenceString": {"type": "string", "format": "uri-reference"}},
"properties": {
  "$id": {"$ref": "#/$defs/uriReferenceString", "pattern": "^[^#]*#?$"},
  "$schema": {"$ref": "#/$defs/uriString"},
  "$ref": {"$ref": "#/$defs/uriReferenceString"},
  "$dynamicRef": {"$ref": "#/$defs/uriReferenceString"},
  "$anchor": {"$ref": "#/$defs/anchorString"},
  "$dynamicAnchor": {"$ref": "#/$defs/anchorString"},
  "$comment": {"type": "string"},
  "$defs": {"type": "object", "additionalProperties": {"$dynamicRef": "#meta"}},
  "$vocabulary": {"type": "object", "propertyNames": {"$ref": "#/$defs/uriString"},
    "additionalProperties": {"type": "boolean"}}}
})";

constexpr std::string_view kApplicator202012 = R"({
"$schema": "https://json-schema.org/draft/2020-12/schema",
"$id": "https://json-schema.org/draft/2020-12/meta/applicator",
"$dynamicAnchor": "meta",
"type": ["boolean", "object"],
"$defs": {"schemaArray": {"type": "array", "minItems": 1, "items": {"$dynamicRef": "#meta"}}},
"properties": {
  "allOf": {"$ref": "#/$defs/schemaArray"},
  "anyOf": {"$ref": "#/$defs/schemaArray"},
  "oneOf": {"$ref": "#/$defs/schemaArray"},
  "prefixItems": {"$ref": "#/$defs/schemaArray"},
  "not": {"$dynamicRef": "#meta"},
  "if": {"$dynamicRef": "#meta"},
  "then": {"$dynamicRef": "#meta"},
  "else": {"$dynamicRef": "#meta"},
  "items": {"$dynamicRef": "#meta"},
  "contains": {"$dynamicRef": "#meta"},
  "propertyNames": {"$dynamicRef": "#meta"},
  "additionalProperties": {"$dynamicRef": "#meta"},
  "properties": {"type": "object", "additionalProperties": {"$dynamicRef": "#meta"}},
  "dependentSchemas": {"type": "object", "additionalProperties": {"$dynamicRef": "#meta"}},
  "patternProperties": {"type": "object", "additionalProperties": {"$dynamicRef": "#meta"},
    "propertyNames": {"format": "regex"}}}
})";

constexpr std::string_view kUnevaluated202012 = R"({
"$schema": "https://json-schema.org/draft/2020-12/schema",
"$id": "https://json-schema.org/draft/2020-12/meta/unevaluated",
"$dynamicAnchor": "meta",
"type": ["boolean", "object"],
"properties": {
  "unevaluatedItems": {"$dynamicRef": "#meta"},
  "unevaluatedProperties": {"$dynamicRef": "#meta"}}
})";

constexpr std::string_view kValidation202012 = R"({
"$schema": "https://json-schema.org/draft/2020-12/schema",
"$id": "https://json-schema.org/draft/2020-12/meta/validation",
"$dynamicAnchor": "meta",
"type": ["boolean", "object"],
"$defs": {
  "nonNegativeInteger": {"type": "integer", "minimum": 0},
  "nonNegativeIntegerDefault0": {"$ref": "#/$defs/nonNegativeInteger", "default": 0},
  "stringArray": {"type": "array", "uniqueItems": true, "items": {"type": "string"}},
  "simpleTypes": {"enum": ["null", "boolean", "integer", "number", "string", "array", "object"]}},
"properties": {
  "const": true,
  "enum": {"type": "array"},
  "type": {"anyOf": [{"$ref": "#/$defs/simpleTypes"}, {"type": "array", "minItems": 1,
    "uniqueItems": true, "items": {"$ref": "#/$defs/simpleTypes"}}]},
  "multipleOf": {"type": "number", "exclusiveMinimum": 0},
  "minimum": {"type": "number"}, "exclusiveMinimum": {"type": "number"},
  "maximum": {"type": "number"}, "exclusiveMaximum": {"type": "number"},
  "pattern": {"type": "string", "format": "regex"},
  "uniqueItems": {"type": "boolean"},
  "minLength": {"$ref": "#/$defs/nonNegativeIntegerDefault0"},
  "minItems": {"$ref": "#/$defs/nonNegativeIntegerDefault0"},
  "minProperties": {"$ref": "#/$defs/nonNegativeIntegerDefault0"},
  "minContains": {"$ref": "#/$defs/nonNegativeInteger", "default": 1},
  "maxLength": {"$ref": "#/$defs/nonNegativeInteger"},
  "maxItems": {"$ref": "#/$defs/nonNegativeInteger"},
  "maxProperties": {"$ref": "#/$defs/nonNegativeInteger"},
  "maxContains": {"$ref": "#/$defs/nonNegativeInteger"},
  "required": {"$ref": "#/$defs/stringArray"},
  "dependentRequired": {"type": "object", "additionalProperties": {"$ref": "#/$defs/stringArray"}}}
})";

constexpr std::string_view kMetaData202012 = R"({
"$schema": "https://json-schema.org/draft/2020-12/schema",
"$id": "https://json-schema.org/draft/2020-12/meta/meta-data",
"$dynamicAnchor": "meta",
"type": ["boolean", "object"],
"properties": {
  "title": {"type": "string"}, "description": {"type": "string"},
  "default": true, "examples": {"type": "array"},
  "deprecated": {"type": "boolean"}, "readOnly": {"type": "boolean"},
  "writeOnly": {"type": "boolean"}}
})";

constexpr std::string_view kFormatAnnotation202012 = R"({
"$schema": "https://json-schema.org/draft/2020-12/schema",
"$id": "https://json-schema.org/draft/2020-12/meta/format-annotation",
"$dynamicAnchor": "meta",
"type": ["boolean", "object"],
"properties": {"format": {"type": "string"}}
})";

constexpr std::string_view kFormatAssertion202012 = R"({
"$schema": "https://json-schema.org/draft/2020-12/schema",
"$id": "https://json-schema.org/draft/2020-12/meta/format-assertion",
"$dynamicAnchor": "meta",
"type": ["boolean", "object"],
"properties": {"format": {"type": "string"}}
})";

constexpr std::string_view kContent202012 = R"({
"$schema": "https://json-schema.org/draft/2020-12/schema",
"$id": "https://json-schema.org/draft/2020-12/meta/content",
"$dynamicAnchor": "meta",
"type": ["boolean", "object"],
"properties": {
  "contentEncoding": {"type": "string"}, "contentMediaType": {"type": "string"},
  "contentSchema": {"$dynamicRef": "#meta"}}
})";

constexpr std::string_view kSchema07 = R"({
"$schema": "http://json-schema.org/draft-07/schema#",
"$id": "http://json-schema.org/draft-07/schema#",
"type": ["boolean", "object"],
"definitions": {
  "schemaArray": {"type": "array", "minItems": 1, "items": {"$ref": "#"}},
  "stringArray": {"type": "array", "uniqueItems": true, "items": {"type": "string"}},
  "nonNegativeInteger": {"type": "integer", "minimum": 0},
  "nonNegativeIntegerDefault0": {"allOf": [{"$ref": "#/definitions/nonNegativeInteger"},
    {"default": 0}]},
  "simpleTypes": {"enum": ["null", "boolean", "integer", "number", "string", "array", "object"]}},
"properties": {
  "$id": {"type": "string", "format": "uri-reference"},
  "$schema": {"type": "string", "format": "uri"},
  "$ref": {"type": "string", "format": "uri-reference"},
  "$comment": {"type": "string"},
  "title": {"type": "string"}, "description": {"type": "string"},
  "default": true, "examples": {"type": "array"},
  "readOnly": {"type": "boolean"}, "writeOnly": {"type": "boolean"},
  "contentMediaType": {"type": "string"}, "contentEncoding": {"type": "string"},
  "format": {"type": "string"},
  "const": true,
  "enum": {"type": "array"},
  "type": {"anyOf": [{"$ref": "#/definitions/simpleTypes"}, {"type": "array", "minItems": 1,
    "uniqueItems": true, "items": {"$ref": "#/definitions/simpleTypes"}}]},
  "multipleOf": {"type": "number", "exclusiveMinimum": 0},
  "minimum": {"type": "number"}, "exclusiveMinimum": {"type": "number"},
  "maximum": {"type": "number"}, "exclusiveMaximum": {"type": "number"},
  "pattern": {"type": "string", "format": "regex"},
  "uniqueItems": {"type": "boolean"},
  "minLength": {"$ref": "#/definitions/nonNegativeIntegerDefault0"},
  "minItems": {"$ref": "#/definitions/nonNegativeIntegerDefault0"},
  "minProperties": {"$ref": "#/definitions/nonNegativeIntegerDefault0"},
  "maxLength": {"$ref": "#/definitions/nonNegativeInteger"},
  "maxItems": {"$ref": "#/definitions/nonNegativeInteger"},
  "maxProperties": {"$ref": "#/definitions/nonNegativeInteger"},
  "required": {"$ref": "#/definitions/stringArray"},
  "allOf": {"$ref": "#/definitions/schemaArray"},
  "anyOf": {"$ref": "#/definitions/schemaArray"},
  "oneOf": {"$ref": "#/definitions/schemaArray"},
  "not": {"$ref": "#"}, "if": {"$ref": "#"}, "then": {"$ref": "#"}, "else": {"$ref": "#"},
  "items": {"anyOf": [{"$ref": "#"}, {"$ref": "#/definitions/schemaArray"}]},
  "additionalItems": {"$ref": "#"}, "contains": {"$ref": "#"}, "propertyNames": {"$ref": "#"},
  "additionalProperties": {"$ref": "#"},
  "definitions": {"type": "object", "additionalProperties": {"$ref": "#"}},
  "properties": {"type": "object", "additionalProperties": {"$ref": "#"}},
  "patternProperties": {"type": "object", "additionalProperties": {"$ref": "#"},
    "propertyNames": {"format": "regex"}},
  "dependencies": {"type": "object", "additionalProperties": {
    "anyOf": [{"$ref": "#"}, {"$ref": "#/definitions/stringArray"}]}}}
})";

constexpr std::array<std::string_view, 10> kAll = {
    kSchema202012,     kCore202012,     kApplicator202012,       kUnevaluated202012,
    kValidation202012, kMetaData202012, kFormatAnnotation202012, kFormatAssertion202012,
    kContent202012,    kSchema07};

using MetaschemasByUri = std::map<std::string, Json, std::less<>>;

MetaschemasByUri ParseAll() {
  MetaschemasByUri parsed;
  for (const std::string_view text : kAll) {
    Json document = ParseJson(text).value();
    std::string uri = document["$id"].get<std::string>();
    if (uri.ends_with('#')) uri.pop_back();
    parsed.emplace(std::move(uri), std::move(document));
  }
  return parsed;
}

}  // namespace

const Json* FindMetaschema(std::string_view uri) {
  static const MetaschemasByUri kParsed = ParseAll();
  const auto found = kParsed.find(uri);
  return found == kParsed.end() ? nullptr : &found->second;
}

}  // namespace metier::grammar::validator
