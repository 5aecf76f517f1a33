// train/torch.h - the part of LibTorch that this module uses: tensors, autograd, custom functions.
//
// Not <torch/torch.h>, whose modules, optimisers and data loaders double the compile time of every
// unit.
#pragma once

#include <ATen/ATen.h>
#include <torch/autograd.h>
#include <torch/cuda.h>
#include <torch/types.h>
#include <torch/version.h>
