#include "base/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cinttypes>
#include <cstring>
#include <filesystem>
#include <memory>
#include <utility>

#include "base/check.h"

namespace metier {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLarge = std::size_t{2} << 20;  // a large page
// Files are written by this many bytes at multiples of it, so that file systems which have large
// pages keep them in such.
constexpr std::size_t kWriteBytes = 2 * kLarge;

Error SystemError(std::string_view action, const std::string& path, int number) {
  ErrorCode code = ErrorCode::kIo;
  if (number == ENOENT || number == ENOTDIR) code = ErrorCode::kNotFound;
  return Error(code, fmt::format("{} '{}': {}", action, path, std::strerror(number)));
}

// Flushes one file's or directory's contents to the disk.
Status Flush(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return SystemError("open", path, errno);
  const int failed = ::fsync(descriptor);
  const int number = errno;
  ::close(descriptor);
  if (failed != 0) return SystemError("flush", path, number);
  return Ok();
}

// Flushes a file, or a directory with everything in it.
Status FlushTree(const std::string& path) {
  std::error_code failed;
  if (fs::is_directory(path, failed)) {
    fs::recursive_directory_iterator at(path, failed);
    for (; !failed && at != fs::recursive_directory_iterator(); at.increment(failed)) {
      if (!at->is_symlink()) METIER_TRY(Flush(at->path().string()));
    }
    if (failed) return SystemError("list", path, failed.value());
  }
  return Flush(path);
}

std::string ParentOf(const std::string& path) {
  const fs::path parent = fs::path(path).parent_path();
  return parent.empty() ? "." : parent.string();
}

// Opens for reading and refuses what is not a regular file: reading a directory or a pipe would
// hang or mislead.
Result<std::pair<int, std::size_t>> OpenRegular(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) return SystemError("open", path, errno);
  struct stat info {};
  if (::fstat(descriptor, &info) != 0) {
    const int number = errno;
    ::close(descriptor);
    return SystemError("examine", path, number);
  }
  if (!S_ISREG(info.st_mode)) {
    ::close(descriptor);
    return Error(ErrorCode::kInvalidArgument, fmt::format("'{}' is not a regular file", path));
  }
  return std::pair(descriptor, static_cast<std::size_t>(info.st_size));
}

}  // namespace

Result<std::string> ReadFile(const std::string& path, std::uint64_t max_bytes) {
  METIER_ASSIGN(const auto opened, OpenRegular(path));
  const auto [descriptor, size] = opened;
  if (size > max_bytes) {
    ::close(descriptor);
    return Error(ErrorCode::kResourceExhausted,
                 fmt::format("'{}': {} bytes, limit {}", path, size, max_bytes));
  }
  std::string text(size, '\0');
  std::size_t done = 0;
  while (done < size) {
    const ssize_t got = ::read(descriptor, text.data() + done, size - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      const int number = errno;
      ::close(descriptor);
      return SystemError("read", path, number);
    }
    if (got == 0) break;  // the file shrank meanwhile
    done += static_cast<std::size_t>(got);
  }
  ::close(descriptor);
  text.resize(done);
  return text;
}

void DropMappedPages(std::span<const std::byte> bytes) {
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto from = (reinterpret_cast<std::uintptr_t>(bytes.data()) + page - 1) / page * page;
  const auto to = reinterpret_cast<std::uintptr_t>(bytes.data() + bytes.size()) / page * page;
  // A kernel that cannot is no error: the pages stay.
  if (from < to) ::madvise(reinterpret_cast<void*>(from), to - from, MADV_DONTNEED);
}

void ReadMappedPagesAhead(std::span<const std::byte> bytes) {
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<std::uintptr_t>(bytes.data());
  const std::uintptr_t from = begin / page * page;
  // A kernel that cannot is no error: the pages are read when they are used.
  if (!bytes.empty())
    ::madvise(reinterpret_cast<void*>(from), begin + bytes.size() - from, MADV_WILLNEED);
}

void PreferLargePages(std::span<const std::byte> bytes) {
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto at = reinterpret_cast<std::uintptr_t>(bytes.data());
  const std::uintptr_t begin = at / page * page;
  // An error leaves everything as it was.
  ::madvise(reinterpret_cast<void*>(begin), at + bytes.size() - begin, MADV_HUGEPAGE);
}

namespace {

// Bytes of the maps that touch [begin, end) which large pages of a file hold; what was never read
// counts as not.
std::size_t BytesInLargePages(std::uintptr_t begin, std::uintptr_t end) {
  std::FILE* maps = std::fopen("/proc/self/smaps", "re");
  if (maps == nullptr) return 0;
  std::size_t bytes = 0;
  bool inside = false;
  char line[512];
  while (std::fgets(line, sizeof line, maps) != nullptr) {
    std::uintptr_t from = 0;
    std::uintptr_t to = 0;
    std::size_t kilobytes = 0;
    if (std::sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &from, &to) == 2) {
      inside = from < end && begin < to;
    } else if (inside && std::sscanf(line, "FilePmdMapped: %zu kB", &kilobytes) == 1) {
      bytes += kilobytes * 1024;
    }
  }
  std::fclose(maps);
  return bytes;
}

// Reads a byte of each large page, which maps it.
bool HasLargePages(std::uintptr_t begin, std::uintptr_t end, const std::stop_token& stop) {
  for (std::uintptr_t at = begin; at < end && !stop.stop_requested(); at += kLarge)
    static_cast<void>(*reinterpret_cast<const volatile std::byte*>(at));
  const std::size_t size = end - begin;
  return BytesInLargePages(begin, end) >= size - size / 8;
}

}  // namespace

void MoveToLargePages(std::span<const std::byte> bytes, const std::stop_token& stop) {
  constexpr std::size_t kTogether = 16 * kLarge;
  const auto aligned = [](std::uintptr_t at) { return (at + kLarge - 1) / kLarge * kLarge; };
  const auto begin = reinterpret_cast<std::uintptr_t>(bytes.data());
  const std::uintptr_t end = (begin + bytes.size()) / kLarge * kLarge;
  if (aligned(begin) >= end || HasLargePages(aligned(begin), end, stop)) return;
  for (std::uintptr_t at = aligned(begin); at < end && !stop.stop_requested(); at += kTogether) {
    const std::size_t size = std::min<std::size_t>(kTogether, end - at);
    // Room to begin at a multiple, as the place does that it will take.
    void* room =
        ::mmap(nullptr, size + kLarge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (room == MAP_FAILED) return;
    const auto space = reinterpret_cast<std::uintptr_t>(room);
    void* copy = reinterpret_cast<void*>(aligned(space));
    ::madvise(copy, size, MADV_HUGEPAGE);
    std::memcpy(copy, reinterpret_cast<const void*>(at), size);
    ::mprotect(copy, size, PROT_READ);
    // Threads that touch these pages now wait for the call to end.
    void* moved =
        ::mremap(copy, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, reinterpret_cast<void*>(at));
    METIER_CHECK(moved == reinterpret_cast<void*>(at), "pages that take another place");
    const std::uintptr_t copied = aligned(space);
    if (copied > space) ::munmap(room, copied - space);
    const std::uintptr_t rest = space + kLarge - copied;
    if (rest > 0) ::munmap(reinterpret_cast<void*>(copied + size), rest);
  }
}

Result<MappedFile> MappedFile::Open(const std::string& path) {
  METIER_ASSIGN(const auto opened, OpenRegular(path));
  const auto [descriptor, size] = opened;
  MappedFile file;
  file.path_ = path;
  file.size_ = size;
  if (size > 0) {
    void* data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor, 0);
    const int number = errno;
    ::close(descriptor);
    if (data == MAP_FAILED) return SystemError("map", path, number);
    file.data_ = data;
  } else {
    ::close(descriptor);
  }
  return file;
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

Result<AtomicFile> AtomicFile::Create(const std::string& path) {
  static std::atomic<unsigned> created = 0;  // two threads may write one path
  AtomicFile file;
  file.path_ = path;
  file.temporary_ = fmt::format("{}.{}.{}.tmp", path, ::getpid(), ++created);
  file.file_ = std::fopen(file.temporary_.c_str(), "wbe");
  if (file.file_ == nullptr) return SystemError("create", file.temporary_, errno);
  file.buffer_ = std::make_unique_for_overwrite<char[]>(kWriteBytes);
  std::setvbuf(file.file_, file.buffer_.get(), _IOFBF, kWriteBytes);
  return file;
}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : path_(std::move(other.path_)),
      temporary_(std::move(other.temporary_)),
      buffer_(std::move(other.buffer_)),
      file_(std::exchange(other.file_, nullptr)),
      failed_(other.failed_) {}

AtomicFile::~AtomicFile() {
  if (file_ == nullptr) return;
  std::fclose(file_);
  ::unlink(temporary_.c_str());
}

Status AtomicFile::Write(std::string_view text) {
  METIER_CHECK(file_ != nullptr, "write after Commit");
  if (text.empty()) return Ok();  // may point nowhere, which fwrite may not be given
  if (std::fwrite(text.data(), 1, text.size(), file_) != text.size()) {
    failed_ = errno;
    return SystemError("write", path_, failed_);
  }
  return Ok();
}

Status AtomicFile::Write(std::span<const std::byte> bytes) {
  return Write(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
}

Status AtomicFile::Commit() {
  METIER_CHECK(file_ != nullptr, "Commit twice");
  std::FILE* file = std::exchange(file_, nullptr);
  int number = failed_;
  if (number == 0 && (std::fflush(file) != 0 || ::fsync(::fileno(file)) != 0)) number = errno;
  if (std::fclose(file) != 0 && number == 0) number = errno;
  if (number == 0 && ::rename(temporary_.c_str(), path_.c_str()) != 0) number = errno;
  if (number != 0) {
    ::unlink(temporary_.c_str());
    return SystemError("write", path_, number);
  }
  return Flush(ParentOf(path_));
}

Status WriteFileAtomic(const std::string& path, std::string_view text) {
  METIER_ASSIGN(AtomicFile file, AtomicFile::Create(path));
  METIER_TRY(file.Write(text));
  return file.Commit();
}

Status CopyFile(const std::string& from, const std::string& to) {
  METIER_ASSIGN(const MappedFile source, MappedFile::Open(from));
  METIER_ASSIGN(AtomicFile target, AtomicFile::Create(to));
  METIER_TRY(target.Write(source.bytes()));
  return target.Commit();
}

Status ReplaceDirectory(const std::string& temporary, const std::string& path) {
  METIER_TRY(FlushTree(temporary));
  if (::rename(temporary.c_str(), path.c_str()) != 0) {
    if (errno == ENOTDIR || errno == EISDIR) {
      return Error(ErrorCode::kInvalidArgument,
                   fmt::format("'{}' and '{}': one is a file, the other a directory; remove '{}' "
                               "or name another place",
                               temporary, path, path));
    }
    if (errno != ENOTEMPTY && errno != EEXIST) return SystemError("rename", temporary, errno);
    // Swap the two in one step, so that `path` always names a whole directory, then drop the old
    // one.
    if (::renameat2(AT_FDCWD, temporary.c_str(), AT_FDCWD, path.c_str(), RENAME_EXCHANGE) != 0) {
      return SystemError("replace", path, errno);
    }
    std::error_code ignored;  // what is left over does no harm
    fs::remove_all(temporary, ignored);
  }
  return Flush(ParentOf(path));
}

Status MakeDirectories(const std::string& path) {
  std::error_code failed;
  fs::create_directories(path, failed);
  if (failed) return SystemError("create directory", path, failed.value());
  return Ok();
}

}  // namespace metier
