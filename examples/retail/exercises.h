// retail/exercises.h - documents of the base corpus in which later words repeat earlier ones.
#pragma once

#include <string>

#include "retail/scene.h"

namespace metier::retail {

// One exercise: a copied list, a look-up in records, a question about a passage, a JSON object made
// of a sentence, an echo, a sorted or reversed list, a correction.
std::string Exercise(Scene& scene);

}  // namespace metier::retail
