// retail/exercises.h - documents of the base corpus in which later words repeat earlier ones.
#pragma once

#include <string>

#include "retail/scene.h"

namespace metier::retail {

// One exercise: a copied list, a look-up in records, a question about a passage, a JSON object made
// of a sentence, an echo, a sorted or reversed list, a correction.
std::string Exercise(Scene& scene);

// A run of values, word for word again, two to four times. A small model that reads nothing else
// finds out within two million tokens how to copy what it has never seen; among other texts it
// takes more than ten times as many.
std::string Repeat(Scene& scene);

}  // namespace metier::retail
