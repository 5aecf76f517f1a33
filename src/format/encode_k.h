// format/encode_k.h - the encoders that search for their scales: K types (encode_k.cc) and IQ4
// (encode_iq4.cc). Rows of the table in encode_blocks.cc; internal to format/.
#pragma once

#include <cstddef>

namespace metier::format {

bool EncodeQ2_K(const float* in, std::byte* out, std::size_t blocks);
bool EncodeQ3_K(const float* in, std::byte* out, std::size_t blocks);
bool EncodeQ4_K(const float* in, std::byte* out, std::size_t blocks);
bool EncodeQ5_K(const float* in, std::byte* out, std::size_t blocks);
bool EncodeQ6_K(const float* in, std::byte* out, std::size_t blocks);
bool EncodeIQ4_NL(const float* in, std::byte* out, std::size_t blocks);
bool EncodeIQ4_XS(const float* in, std::byte* out, std::size_t blocks);

}  // namespace metier::format
