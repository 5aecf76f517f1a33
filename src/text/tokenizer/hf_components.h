// text/tokenizer/hf_components.h - the sections of tokenizer.json, each turned into a part of the
// pipeline. A component that is not known is refused by name (kUnsupported).
#pragma once

#include <memory>

#include "base/limits.h"
#include "text/tokenizer/decoder.h"
#include "text/tokenizer/hf_fields.h"
#include "text/tokenizer/model.h"
#include "text/tokenizer/normalizer.h"
#include "text/tokenizer/post_processor.h"
#include "text/tokenizer/pre_tokenizer.h"

namespace metier::text {

Result<NormalizerPtr> ParseNormalizer(const HfObject& object);

struct ParsedPreTokenizer {
  PreTokenizers stages;
  // The last stage turns bytes into the byte alphabet: a BPE model may take the bytes themselves.
  bool ends_with_byte_map = false;
};
Result<ParsedPreTokenizer> ParsePreTokenizer(const HfObject& object);

// kUnsupported: a template that has the text twice or not at all.
Result<PostProcessor> ParsePostProcessor(const HfObject& object);

Result<std::vector<DecoderStepPtr>> ParseDecoder(const HfObject& object);

struct ParsedModel {
  std::unique_ptr<const Model> model;
  std::string unk_token;     // "": none
  bool takes_bytes = false;  // asked to, and able to
};
enum class BytesWanted { kNo, kYes };
Result<ParsedModel> ParseModel(const HfObject& object, BytesWanted bytes, const Limits& limits);

}  // namespace metier::text
