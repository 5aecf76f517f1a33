// tests/unit/train/device.h - where the tests of this folder compute: METIER_TEST_DEVICE ("cuda",
// "cuda:1"), by default the CPU. The tolerances are those of the arithmetic, not of the device: on
// a GPU products of doubles and floats are exact to their own rounding (TF32 serves bf16 runs
// only).
#pragma once

#include <cstdlib>
#include <string>

#include "train/model_source.h"
#include "train/torch.h"

namespace metier::train {

inline std::string TestDeviceName() {
  const char* named = std::getenv("METIER_TEST_DEVICE");
  return named == nullptr || *named == '\0' ? "cpu" : named;
}

inline at::Device TestDevice() { return ParseDevice(TestDeviceName()).value(); }

}  // namespace metier::train
