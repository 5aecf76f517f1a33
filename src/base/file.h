// base/file.h - files: whole reads, memory maps, and writes that are either complete or absent.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/result.h"

namespace metier {

// The whole file. kNotFound, kIo; kResourceExhausted: larger than max_bytes.
Result<std::string> ReadFile(const std::string& path, std::uint64_t max_bytes);

// A read-only private map of a file; the bytes live as long as this object. Movable, not copyable.
// Another process that cuts the file short meanwhile kills this one (SIGBUS): files we write are
// replaced, never rewritten, so that our own readers are safe.
class MappedFile {
 public:
  static Result<MappedFile> Open(const std::string& path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return {static_cast<const std::byte*>(data_), size_}; }
  const std::string& path() const { return path_; }

 private:
  MappedFile() = default;

  std::string path_;
  void* data_ = nullptr;
  std::size_t size_ = 0;
};

// Takes pages of a MappedFile out of this process's memory; they come back when they are read
// again. `bytes` lie inside one map; pages that are only partly theirs stay.
void DropMappedPages(std::span<const std::byte> bytes);
// Has the system read pages of a MappedFile that are going to be used; returns at once.
void ReadMappedPagesAhead(std::span<const std::byte> bytes);
// Asks for large pages for a stretch of a MappedFile that will be read as a whole, before it is
// read: file systems that keep a file in large pages (ext4 since Linux 6.16, XFS) then read and map
// it by them. Others leave it as it is.
void PreferLargePages(std::span<const std::byte> bytes);
// For a stretch that the map does not have in large pages: copies it into memory of this process,
// large pages where the system has them, and puts that in its place, at its addresses: who reads it
// meanwhile, on any thread, reads the same bytes. Pages before the first and behind the last whole
// large page stay as they are. DropMappedPages must not be called for these bytes any more. Ends
// early when it is to stop or there is no memory.
void MoveToLargePages(std::span<const std::byte> bytes, const std::stop_token& stop);

// Writes beside the target and renames on Commit, after fsync: a crash or a full disk leaves the
// old file or none. Without Commit the temporary file is removed.
class AtomicFile {
 public:
  static Result<AtomicFile> Create(const std::string& path);
  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile& operator=(AtomicFile&&) = delete;
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile();

  // kIo: what the system says, a full disk among it. Commit after a failed Write fails too.
  Status Write(std::string_view text);
  Status Write(std::span<const std::byte> bytes);
  Status Commit();

 private:
  AtomicFile() = default;

  std::string path_;
  std::string temporary_;
  std::unique_ptr<char[]> buffer_;  // of the file
  std::FILE* file_ = nullptr;
  int failed_ = 0;  // errno of the first failed write: Commit must not publish the file then
};

// AtomicFile in one call.
Status WriteFileAtomic(const std::string& path, std::string_view text);
// The content of a regular file, written like that: another name of an old target keeps what it
// has.
Status CopyFile(const std::string& from, const std::string& to);

// Renames `temporary` to `path`, a directory or file, so that after a crash one of the two states
// is seen in full: contents are flushed first, the parent directory after. An existing target of
// the same kind is replaced.  kInvalidArgument: one is a file, the other a directory.
Status ReplaceDirectory(const std::string& temporary, const std::string& path);

// Creates the directory and its parents.
Status MakeDirectories(const std::string& path);

}  // namespace metier
