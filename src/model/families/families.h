// model/families/families.h - the rows of the registry, one per file of this folder.
#pragma once

#include "model/family.h"

namespace metier::model {

extern const Family kBert;
extern const Family kBioGpt;
extern const Family kBloom;
extern const Family kGemma;
extern const Family kGpt2;
extern const Family kLlama;
extern const Family kMetierExpertChoice;
extern const Family kMetierExperts;
extern const Family kMetierTaskExperts;
extern const Family kMistral;
extern const Family kMixtral;
extern const Family kQwen2;
extern const Family kQwen3;
extern const Family kQwen3Moe;
extern const Family kSmallThinker;

}  // namespace metier::model
