// cli/describe_adapter.h - what a directory that changes a model holds (describe.h): a LoRA, a
// prefix, singular values, a mixture of LoRAs, or a hypernetwork that writes them.
#pragma once

#include <string>

#include "base/json.h"
#include "base/result.h"
#include "cli/describe.h"
#include "tensor/tensor.h"

namespace metier::cli {

// Whether the directory holds one.
bool IsAdapter(const std::string& path);

// "kind": "adapter", "mixture" or "hypernetwork", with the settings that matter to who uses it.
// Errors: of reading it.
Result<Json> DescribeAdapter(const std::string& path, ListTensors list);

// Adds "parameters", "bytes", "types" and, where asked for, "tensors".
void AddTensors(const tensor::TensorSource& source, ListTensors list, Json& document);

}  // namespace metier::cli
