// Drafts and what tells them apart; references, names, remote documents, vocabularies, circles.
#include <string>

#include "grammar/schema_validator.h"
#include "support/fixtures.h"

namespace metier::grammar {
namespace {

Json Document(const std::string& text) {
  auto parsed = ParseJson(text);
  EXPECT_TRUE(parsed.ok()) << text;
  return parsed.ok() ? std::move(parsed).value() : Json();
}

// "valid", "invalid" or the error.
std::string Verdict(const std::string& schema, const std::string& instance,
                    const SchemaOptions& options = {}) {
  const auto validator = SchemaValidator::Compile(Document(schema), options);
  if (!validator.ok()) return validator.error().message();
  const auto accepts = validator->Accepts(Document(instance));
  if (!accepts.ok()) return accepts.error().message();
  return *accepts ? "valid" : "invalid";
}

struct DraftCase {
  SchemaDraft draft;
  const char* schema;
  const char* instance;
  const char* verdict;
};

TEST(SchemaDrafts, EachReadsItsOwnKeywords) {
  using enum SchemaDraft;
  const DraftCase cases[] = {
      // A number or a switch.
      {kDraft04, R"({"minimum":3,"exclusiveMinimum":true})", "3", "invalid"},
      {kDraft04, R"({"minimum":3,"exclusiveMinimum":false})", "3", "valid"},
      {kDraft04, R"({"maximum":3,"exclusiveMaximum":true})", "3", "invalid"},
      {kDraft04, R"({"maximum":3,"exclusiveMaximum":true})", "2.9", "valid"},
      {kDraft06, R"({"exclusiveMinimum":3})", "3", "invalid"},
      // What each draft does not know yet says nothing.
      {kDraft04, R"({"const":1})", "2", "valid"},
      {kDraft06, R"({"const":1})", "2", "invalid"},
      {kDraft06, R"({"if":true,"then":false})", "2", "valid"},
      {kDraft07, R"({"if":true,"then":false})", "2", "invalid"},
      {kDraft07, R"({"dependentRequired":{"a":["b"]}})", R"({"a":1})", "valid"},
      {kDraft201909, R"({"dependentRequired":{"a":["b"]}})", R"({"a":1})", "invalid"},
      {kDraft07, R"({"contains":true,"minContains":2})", "[1]", "valid"},
      {kDraft201909, R"({"contains":true,"minContains":2})", "[1]", "invalid"},
      {kDraft07, R"({"unevaluatedProperties":false})", R"({"a":1})", "valid"},
      {kDraft201909, R"({"unevaluatedProperties":false})", R"({"a":1})", "invalid"},
      // Tuples.
      {kDraft07, R"({"items":[true],"additionalItems":false})", "[1,2]", "invalid"},
      {kDraft07, R"({"additionalItems":false})", "[1,2]", "valid"},
      {kDraft07, R"({"items":true,"additionalItems":false})", "[1,2]", "valid"},
      {kDraft201909, R"({"items":[true],"additionalItems":false})", "[1,2]", "invalid"},
      {kDraft201909, R"({"prefixItems":[false]})", "[1]", "valid"},
      {kDraft202012, R"({"prefixItems":[true],"additionalItems":false})", "[1,2]", "valid"},
      {kDraft202012, R"({"prefixItems":[true],"items":false})", "[1,2]", "invalid"},
      // Only 2020-12 counts what `contains` matched as evaluated.
      {kDraft201909, R"({"contains":true,"unevaluatedItems":false})", "[1]", "invalid"},
      {kDraft202012, R"({"contains":true,"unevaluatedItems":false})", "[1]", "valid"},
      // Beside $ref.
      {kDraft07, R"({"$ref":"#/definitions/a","type":"null","definitions":{"a":true}})", "1",
       "valid"},
      {kDraft201909, R"({"$ref":"#/$defs/a","type":"null","$defs":{"a":true}})", "1", "invalid"},
      // Kept for compatibility.
      {kDraft202012, R"({"dependencies":{"a":["b"]}})", R"({"a":1})", "invalid"},
      {kDraft202012, R"({"$ref":"#/definitions/a","definitions":{"a":false}})", "1", "invalid"},
  };
  for (const DraftCase& tested : cases) {
    EXPECT_EQ(Verdict(tested.schema, tested.instance, {.default_draft = tested.draft}),
              tested.verdict)
        << static_cast<int>(tested.draft) << " " << tested.schema;
  }
}

TEST(SchemaDrafts, NamesAreReadAsTheDraftWritesThem) {
  using enum SchemaDraft;
  const DraftCase cases[] = {
      {kDraft04,
       R"({"id":"http://x/","allOf":[{"$ref":"a"}],"definitions":{"b":{"id":"a","not":{}}}})", "1",
       "invalid"},
      {kDraft04, R"({"$id":"http://x/","id":"#r","properties":{"a":{"$ref":"#r"}},"maxItems":0})",
       R"({"a":[1]})", "invalid"},
      {kDraft07, R"({"allOf":[{"$ref":"#b"}],"definitions":{"b":{"$id":"#b","not":{}}}})", "1",
       "invalid"},
      {kDraft201909, R"({"$ref":"#b","$defs":{"b":{"$anchor":"b","not":{}}}})", "1", "invalid"},
      {kDraft202012, R"({"$ref":"#b","$defs":{"b":{"$dynamicAnchor":"b","not":{}}}})", "1",
       "invalid"},
  };
  for (const DraftCase& tested : cases) {
    EXPECT_EQ(Verdict(tested.schema, tested.instance, {.default_draft = tested.draft}),
              tested.verdict)
        << tested.schema;
  }
  EXPECT_EQ(Verdict(R"({"$ref":"#b","$defs":{"b":{"$id":"#b"}}})", "1"),
            "schema '#/$defs/b': $id \"#b\": expected no fragment; anchors are named by $anchor");
}

TEST(SchemaDrafts, SchemaKeywordDecidesOverTheDefault) {
  const std::string tuple = R"("items":[{"type":"null"}]})";
  EXPECT_EQ(Verdict(R"({"$schema":"http://json-schema.org/draft-07/schema#",)" + tuple, "[1]"),
            "invalid");
  EXPECT_EQ(Verdict(R"({"$schema":"https://json-schema.org/draft-07/schema",)" + tuple, "[1]"),
            "invalid");
  EXPECT_EQ(Verdict(R"({"$schema":"http://json-schema.org/draft-06/schema#",)" + tuple, "[1]"),
            "invalid");
  EXPECT_EQ(Verdict(R"({"$schema":"https://json-schema.org/draft/2019-09/schema",)" + tuple, "[1]"),
            "invalid");
  EXPECT_ERROR(SchemaValidator::Compile(
                   Document(R"({"$schema":"http://json-schema.org/draft-03/schema#"})")),
               ErrorCode::kUnsupported,
               "$schema 'http://json-schema.org/draft-03/schema' is unknown; known are");
  EXPECT_ERROR(SchemaValidator::Compile(Document(R"({"$schema":7})")), ErrorCode::kInvalidArgument,
               "$schema: found 7");
}

TEST(SchemaDrafts, AResourceMayHaveADraftOfItsOwn) {
  const char* schema = R"({"$defs":{"old":{"$id":"http://x/old",
      "$schema":"http://json-schema.org/draft-07/schema#","items":[{"type":"null"}]}},
      "$ref":"http://x/old"})";
  EXPECT_EQ(Verdict(schema, "[1]"), "invalid");
  EXPECT_EQ(Verdict(schema, "[null,1]"), "valid");
}

TEST(SchemaDrafts, RecursiveRefOf201909FindsTheOutermost) {
  const SchemaOptions options = {.default_draft = SchemaDraft::kDraft201909};
  const std::string tree = R"({"$id":"http://x/tree","$recursiveAnchor":true,"type":"object",
      "properties":{"kids":{"items":{"$recursiveRef":"#"}}}})";
  const std::string strict = R"({"$id":"http://x/strict","$recursiveAnchor":true,"$ref":"tree",
      "unevaluatedProperties":false,"$defs":{"t":)" +
                             tree + "}}";
  EXPECT_EQ(Verdict(tree, R"({"kids":[{"x":1}]})", options), "valid");
  EXPECT_EQ(Verdict(strict, R"({"kids":[{"kids":[]}]})", options), "valid");
  EXPECT_EQ(Verdict(strict, R"({"kids":[{"x":1}]})", options), "invalid");
  EXPECT_EQ(Verdict(R"({"$recursiveRef":"#/a"})", "1", options),
            "schema '#/$recursiveRef': found \"#/a\", expected \"#\", the one value it may have");
}

TEST(SchemaReferences, LeadThroughGivenDocumentsAndNowhereElse) {
  const SchemaOptions options = {
      .base_uri = "http://x/schemas/root.json",
      .documents = {
          {"http://x/schemas/item.json", Document(R"({"$ref":"sub/price.json#/$defs/p"})")},
          {"http://x/schemas/sub/price.json",
           Document(R"({"$defs":{"p":{"$ref":"#cents"},"c":{"$anchor":"cents",
                                  "multipleOf":0.01}}})")}}};
  EXPECT_EQ(Verdict(R"({"items":{"$ref":"item.json"}})", "[0.25]", options), "valid");
  EXPECT_EQ(Verdict(R"({"items":{"$ref":"item.json"}})", "[0.255]", options), "invalid");
  EXPECT_EQ(Verdict(R"({"items":{"$ref":"../schemas/./item.json#"}})", "[0.255]", options),
            "invalid");
  const char* cases[][2] = {
      {R"({"properties":{"a":{"$ref":"other.json"}}})",
       "schema 'http://x/schemas/root.json#/properties/a/$ref': 'other.json': no document "
       "'http://x/schemas/other.json' is known; documents are not fetched"},
      {R"({"$ref":"#/$defs/none"})",
       "'#/$defs/none': 'http://x/schemas/root.json#' has nothing at '/$defs/none'"},
      {R"({"$ref":"item.json#name"})", "'http://x/schemas/item.json#' has no anchor 'name'"},
      {R"({"$defs":{"unused":{"$ref":"#/nowhere"}}})", "has nothing at '/nowhere'"},
      {R"({"$ref":"#/allOf/01","allOf":[true,true]})", "has nothing at '/allOf/01'"},
  };
  for (const auto& [schema, text] : cases) {
    EXPECT_ERROR(SchemaValidator::Compile(Document(schema), options), ErrorCode::kNotFound, text);
  }
  EXPECT_ERROR(SchemaValidator::Compile(Document(R"({"title":"t","$ref":"#/title"})"), options),
               ErrorCode::kInvalidArgument, "at 'http://x/schemas/root.json#/title' is \"t\"");
}

TEST(SchemaReferences, StandardMetaschemasAreKnown) {
  const char* current = R"({"$ref":"https://json-schema.org/draft/2020-12/schema"})";
  EXPECT_EQ(Verdict(current, R"({"properties":{"a":{"minLength":1}}})"), "valid");
  EXPECT_EQ(Verdict(current, R"({"properties":{"a":{"minLength":-1}}})"), "invalid");
  EXPECT_EQ(Verdict(current, R"({"allOf":[]})"), "invalid");
  EXPECT_EQ(Verdict(current, R"({"$defs":{"a":{"unevaluatedItems":1}}})"), "invalid");
  EXPECT_EQ(Verdict(current, "7"), "invalid");
  const char* seventh = R"({"$ref":"http://json-schema.org/draft-07/schema#"})";
  EXPECT_EQ(Verdict(seventh, R"({"dependencies":{"a":["b"]},"items":[{"if":true}]})"), "valid");
  EXPECT_EQ(Verdict(seventh, R"({"items":[{"if":3}]})"), "invalid");
  EXPECT_EQ(Verdict(seventh, R"({"exclusiveMinimum":true})"), "invalid");
  EXPECT_EQ(
      Verdict(
          R"({"$ref":"https://json-schema.org/draft/2020-12/meta/validation#/$defs/stringArray"})",
          R"(["a","a"])"),
      "invalid");
}

TEST(SchemaReferences, OneNameHasOneSchema) {
  EXPECT_ERROR(SchemaValidator::Compile(
                   Document(R"({"$defs":{"a":{"$id":"http://x/a"},"b":{"$id":"http://x/a"}}})")),
               ErrorCode::kInvalidArgument, "two schemas are named 'http://x/a'");
  EXPECT_ERROR(
      SchemaValidator::Compile(Document(R"({"$defs":{"a":{"$anchor":"n"},"b":{"$anchor":"n"}}})")),
      ErrorCode::kInvalidArgument, "two schemas of '#' have the anchor 'n'");
}

TEST(SchemaReferences, CirclesAtOneValueAreRefused) {
  const char* circles[] = {
      R"({"$ref":"#"})",
      R"({"allOf":[{"$ref":"#"}]})",
      R"({"anyOf":[true,{"not":{"$ref":"#"}}]})",
      R"({"if":{"$ref":"#/$defs/a"},"$defs":{"a":{"$ref":"#"}}})",
      R"({"dependentSchemas":{"a":{"$ref":"#"}}})",
      R"({"$defs":{"a":{"$ref":"#/$defs/b"},"b":{"oneOf":[{"$ref":"#/$defs/a"}]}}})",
  };
  for (const char* schema : circles) {
    EXPECT_ERROR(SchemaValidator::Compile(Document(schema)), ErrorCode::kInvalidArgument,
                 "leads back to itself");
  }
  EXPECT_ERROR(SchemaValidator::Compile(Document(circles[1])), ErrorCode::kInvalidArgument,
               "(# -> #/allOf/0 -> #)");
  // Stepping into the instance is recursion.
  EXPECT_EQ(Verdict(R"({"type":"object","additionalProperties":{"$ref":"#"}})", R"({"a":{"b":1}})"),
            "invalid");
  EXPECT_EQ(Verdict(R"({"type":"array","items":{"$ref":"#"}})", "[[],[[]]]"), "valid");
  // Only the way tells that this one is a circle.
  EXPECT_THAT(Verdict(R"({"$dynamicAnchor":"m","$dynamicRef":"#m"})", "1"),
              testing::HasSubstr("more than 2000 deep"));
}

TEST(SchemaVocabularies, SwitchKeywordsOnAndOff) {
  const auto options = [](const std::string& vocabularies) {
    return SchemaOptions{.documents = {{"http://x/meta", Document(R"({"$schema":
        "https://json-schema.org/draft/2020-12/schema","$vocabulary":{)" +
                                                                  vocabularies + "}}")}}};
  };
  const std::string known = "https://json-schema.org/draft/2020-12/vocab/";
  const std::string schema = R"({"$schema":"http://x/meta","minimum":5,"not":{"const":9},
      "format":"date"})";
  const std::string applicator = "\"" + known + "applicator\":true";
  EXPECT_EQ(Verdict(schema, "1", options(applicator)), "invalid")
      << "const says nothing here, so nothing is not it";
  EXPECT_EQ(Verdict(R"({"$schema":"http://x/meta","minimum":5})", "1", options(applicator)),
            "valid");
  EXPECT_EQ(Verdict(R"({"$schema":"http://x/meta","minimum":5})", "1",
                    options("\"" + known + "validation\":true")),
            "invalid");
  EXPECT_EQ(Verdict(R"({"$schema":"http://x/meta","format":"date"})", "\"x\"",
                    options("\"" + known + "format-assertion\":true")),
            "invalid");
  EXPECT_EQ(Verdict(R"({"$schema":"http://x/meta"})", "1", options(R"("http://x/v":false)")),
            "valid");
  EXPECT_ERROR(SchemaValidator::Compile(Document(R"({"$schema":"http://x/meta"})"),
                                        options(R"("http://x/v":true)")),
               ErrorCode::kUnsupported, "metaschema 'http://x/meta': requires the vocabulary");
}

}  // namespace
}  // namespace metier::grammar
