// specialist/content_hash.h - one SHA-256 for a file or a whole folder, by content and names, not
// by place or time.
#pragma once

#include <map>
#include <string>

#include "base/json.h"
#include "base/result.h"

namespace metier::specialist {

// Remembers the hash of a file by (size, modification time, inode), so that a base of gigabytes is
// read once.
class ContentHasher {
 public:
  // `memory`: a JSON file to remember in; "": forget.
  explicit ContentHasher(std::string memory);

  Result<std::string> OfFile(const std::string& path);
  // Folders: the hash of the sorted list of (relative path, hash). Hidden files count; symbolic
  // links are followed.
  Result<std::string> OfPath(const std::string& path);
  Status Save() const;

 private:
  std::string memory_;
  std::map<std::string, std::string> known_;  // identity -> hash
};

// The hash of what decides how text becomes tokens, whatever weights lie beside it: a Hugging Face
// folder's tokenizer files, or a GGUF file's "tokenizer." entries. kNotFound: neither is there.
Result<std::string> HashTokenizer(const std::string& path);

}  // namespace metier::specialist
