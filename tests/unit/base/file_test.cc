#include "base/file.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <functional>
#include <sstream>
#include <stop_token>
#include <string>
#include <thread>

#include "support/fixtures.h"

namespace metier {
namespace {

namespace fs = std::filesystem;
using test::ReadAll;
using test::TempFolder;
using test::WriteAll;
using ::testing::ElementsAre;

std::vector<std::string> NamesIn(const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

// Runs the body in a child process; returns its exit code, or minus the signal that ended it.
int InChild(const std::function<int()>& body) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(body());
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

TEST(ReadFile, ReadsWholeFilesWithinTheLimit) {
  const TempFolder folder;
  WriteAll(folder / "a", std::string("x\0y", 3));
  ASSERT_OK_AND_ASSIGN(const std::string text, ReadFile(folder / "a", 3));
  EXPECT_EQ(text, std::string("x\0y", 3));
  EXPECT_ERROR(ReadFile(folder / "a", 2), ErrorCode::kResourceExhausted, "3 bytes, limit 2");
}

TEST(ReadFile, RefusesWhatIsNoRegularFile) {
  const TempFolder folder;
  EXPECT_ERROR(ReadFile(folder / "none", 9), ErrorCode::kNotFound, "none");
  EXPECT_ERROR(ReadFile(folder.path(), 9), ErrorCode::kInvalidArgument, "not a regular file");
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  EXPECT_ERROR(ReadFile(folder / "pipe", 9), ErrorCode::kInvalidArgument, "not a regular file");
  EXPECT_ERROR(MappedFile::Open(folder / "pipe"), ErrorCode::kInvalidArgument, "regular file");
}

TEST(MappedFile, ShowsTheBytesAndMoves) {
  const TempFolder folder;
  WriteAll(folder / "a", "hello");
  WriteAll(folder / "empty", "");
  ASSERT_OK_AND_ASSIGN(MappedFile file, MappedFile::Open(folder / "a"));
  const std::byte* data = file.bytes().data();
  MappedFile moved = std::move(file);
  EXPECT_EQ(moved.bytes().data(), data);
  EXPECT_EQ(moved.bytes().size(), 5U);
  EXPECT_EQ(static_cast<char>(moved.bytes()[4]), 'o');
  ASSERT_OK_AND_ASSIGN(MappedFile other, MappedFile::Open(folder / "empty"));
  EXPECT_TRUE(other.bytes().empty());
  other = std::move(moved);
  EXPECT_EQ(other.bytes().data(), data);
}

TEST(MappedFile, OutlivesTheReplacementOfItsFile) {
  const TempFolder folder;
  WriteAll(folder / "a", "old content");
  ASSERT_OK_AND_ASSIGN(const MappedFile file, MappedFile::Open(folder / "a"));
  ASSERT_OK(WriteFileAtomic(folder / "a", "new"));
  EXPECT_EQ(static_cast<char>(file.bytes()[0]), 'o');
  EXPECT_EQ(file.bytes().size(), 11U);
}

TEST(AtomicFile, PublishesOnCommitOnly) {
  const TempFolder folder;
  WriteAll(folder / "a", "old");
  {
    ASSERT_OK_AND_ASSIGN(AtomicFile file, AtomicFile::Create(folder / "a"));
    ASSERT_OK(file.Write("new"));
    EXPECT_EQ(ReadAll(folder / "a"), "old");
    ASSERT_OK(file.Commit());
    EXPECT_EQ(ReadAll(folder / "a"), "new");
  }
  {
    ASSERT_OK_AND_ASSIGN(AtomicFile dropped, AtomicFile::Create(folder / "a"));
    ASSERT_OK(dropped.Write("never"));
  }
  EXPECT_EQ(ReadAll(folder / "a"), "new");
  EXPECT_THAT(NamesIn(folder.path()), ElementsAre("a"));
}

TEST(AtomicFile, TwoWritersOfOnePathDoNotMix) {
  const TempFolder folder;
  ASSERT_OK_AND_ASSIGN(AtomicFile one, AtomicFile::Create(folder / "a"));
  ASSERT_OK_AND_ASSIGN(AtomicFile two, AtomicFile::Create(folder / "a"));
  ASSERT_OK(one.Write("one"));
  ASSERT_OK(two.Write("two"));
  ASSERT_OK(one.Commit());
  EXPECT_EQ(ReadAll(folder / "a"), "one");
  ASSERT_OK(two.Commit());
  EXPECT_EQ(ReadAll(folder / "a"), "two");
}

TEST(AtomicFile, AKilledWriterLeavesTheOldFile) {
  const TempFolder folder;
  WriteAll(folder / "a", "old");
  const int status = InChild([&] {
    auto file = AtomicFile::Create(folder / "a");
    if (!file.ok() || !file->Write(std::string(1 << 20, 'x')).ok()) return 1;
    ::raise(SIGKILL);
    return 0;
  });
  EXPECT_EQ(status, -SIGKILL);
  EXPECT_EQ(ReadAll(folder / "a"), "old");
}

// A limit on the size of files stands in for a full disk: the write that crosses it fails. Small
// contents fail at Commit, where the buffer is written; large ones in Write, and then Commit must
// fail too.
TEST(AtomicFile, AFullDiskLeavesTheOldFile) {
  const TempFolder folder;
  WriteAll(folder / "a", "old");
  for (const std::size_t size : {2000U, 16U << 20}) {
    const int status = InChild([&] {
      ::signal(SIGXFSZ, SIG_IGN);
      const rlimit limit{1000, 1000};
      if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return 10;
      auto file = AtomicFile::Create(folder / "a");
      if (!file.ok()) return 11;
      const Status written = file->Write(std::string(size, 'x'));
      if (written.ok() != (size == 2000)) return 12;
      const Status committed = file->Commit();
      if (committed.ok()) return 13;
      return committed.error().code() == ErrorCode::kIo ? 0 : 14;
    });
    EXPECT_EQ(status, 0) << size;
    EXPECT_EQ(ReadAll(folder / "a"), "old");
    EXPECT_THAT(NamesIn(folder.path()), ElementsAre("a"));
  }
}

TEST(AtomicFile, NamesThePathItCannotWrite) {
  const TempFolder folder;
  EXPECT_ERROR(AtomicFile::Create(folder / "none/a"), ErrorCode::kNotFound, "none/a");
  ASSERT_OK(MakeDirectories(folder / "d"));
  EXPECT_ERROR(WriteFileAtomic(folder / "d", "x"), ErrorCode::kIo, "/d");
  EXPECT_THAT(NamesIn(folder.path()), ElementsAre("d"));
}

TEST(CopyFile, WritesAFileOfItsOwn) {
  const TempFolder folder;
  WriteAll(folder / "a", "new");
  WriteAll(folder / "old", "old");
  fs::create_hard_link(folder / "old", folder / "b");
  ASSERT_OK(CopyFile(folder / "a", folder / "b"));
  EXPECT_EQ(ReadAll(folder / "b"), "new");
  EXPECT_EQ(ReadAll(folder / "old"), "old");
  WriteAll(folder / "empty", "");
  ASSERT_OK(CopyFile(folder / "empty", folder / "b"));
  EXPECT_EQ(ReadAll(folder / "b"), "");
  EXPECT_ERROR(CopyFile(folder / "none", folder / "b"), ErrorCode::kNotFound, "none");
  EXPECT_ERROR(CopyFile(folder.path(), folder / "b"), ErrorCode::kInvalidArgument, folder.path());
}

TEST(CopyFile, ToAFullDiskSaysSoAndLeavesNothing) {
  const TempFolder folder;
  WriteAll(folder / "a", std::string(1 << 20, 'x'));
  const int status = InChild([&] {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{1000, 1000};
    if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return 10;
    const Status copied = CopyFile(folder / "a", folder / "b");
    if (copied.ok()) return 11;
    return copied.error().message().find(std::strerror(EFBIG)) != std::string::npos ? 0 : 12;
  });
  EXPECT_EQ(status, 0);
  EXPECT_THAT(NamesIn(folder.path()), ElementsAre("a"));
}

TEST(ReplaceDirectory, PutsANewOneInPlace) {
  const TempFolder folder;
  ASSERT_OK(MakeDirectories(folder / "new/sub"));
  WriteAll(folder / "new/sub/a", "1");
  fs::create_symlink("nowhere", folder / "new/dangling");
  ASSERT_OK(ReplaceDirectory(folder / "new", folder / "target"));
  EXPECT_EQ(ReadAll(folder / "target/sub/a"), "1");
  EXPECT_THAT(NamesIn(folder.path()), ElementsAre("target"));
}

TEST(ReplaceDirectory, ReplacesOneOfTheSameKindAndRefusesOthers) {
  const TempFolder folder;
  ASSERT_OK(MakeDirectories(folder / "target"));
  WriteAll(folder / "target/old", "1");
  ASSERT_OK(MakeDirectories(folder / "new"));
  WriteAll(folder / "new/fresh", "2");
  ASSERT_OK(ReplaceDirectory(folder / "new", folder / "target"));
  EXPECT_THAT(NamesIn(folder / "target"), ElementsAre("fresh"));

  WriteAll(folder / "file", "3");
  EXPECT_ERROR(ReplaceDirectory(folder / "target", folder / "file"), ErrorCode::kInvalidArgument,
               "remove");
  EXPECT_ERROR(ReplaceDirectory(folder / "file", folder / "target"), ErrorCode::kInvalidArgument,
               "remove");
  WriteAll(folder / "file2", "4");
  ASSERT_OK(ReplaceDirectory(folder / "file2", folder / "file"));
  EXPECT_EQ(ReadAll(folder / "file"), "4");
  EXPECT_EQ(ReadAll(folder / "target/fresh"), "2");
  EXPECT_ERROR(ReplaceDirectory(folder / "none", folder / "target"), ErrorCode::kNotFound, "none");
}

// Somebody who looks at any moment finds a whole directory.
TEST(ReplaceDirectory, NeverLeavesAGap) {
  const TempFolder folder;
  ASSERT_OK(MakeDirectories(folder / "target"));
  WriteAll(folder / "target/a", "x");
  std::atomic<bool> stop = false;
  std::atomic<int> gaps = 0;
  std::atomic<int> looks = 0;
  std::thread reader([&] {
    while (!stop) {
      if (::access((folder / "target/a").c_str(), F_OK) != 0) ++gaps;
      ++looks;
    }
  });
  for (int i = 0; i < 20; ++i) {
    ASSERT_OK(MakeDirectories(folder / "new"));
    WriteAll(folder / "new/a", "x");
    ASSERT_OK(ReplaceDirectory(folder / "new", folder / "target"));
  }
  stop = true;
  reader.join();
  EXPECT_GT(looks, 0);
  EXPECT_EQ(gaps, 0);
}

TEST(MappedPages, MoveUnderTheEyesOfTheirReaders) {
  const TempFolder folder;
  std::string text(std::size_t{9} << 20, 'x');
  for (std::size_t i = 0; i < text.size(); i += 61) text[i] = static_cast<char>(i * 7 / 61);
  WriteAll(folder / "f", text);
  ASSERT_OK_AND_ASSIGN(const MappedFile file, MappedFile::Open(folder / "f"));
  // The file may be in large pages: not through this map.
  ASSERT_EQ(
      ::madvise(const_cast<std::byte*>(file.bytes().data()), file.bytes().size(), MADV_NOHUGEPAGE),
      0);
  const auto holds = [&] {
    return std::memcmp(file.bytes().data(), text.data(), text.size()) == 0;
  };
  std::stop_source stop;
  std::atomic<std::int64_t> wrong = 0;
  std::atomic<std::int64_t> looked = 0;
  {
    std::jthread reader([&](const std::stop_token& end) {
      while (!end.stop_requested()) {
        wrong += holds() ? 0 : 1;
        ++looked;
      }
    });
    while (looked == 0) continue;
    // A second time moves what is memory already.
    for (int times = 0; times < 2; ++times)
      MoveToLargePages(file.bytes().subspan(5, (std::size_t{8} << 20) + 77), stop.get_token());
    const std::int64_t so_far = looked;
    while (looked < so_far + 2) continue;
  }
  EXPECT_EQ(wrong, 0);
  // They are no longer the file's: what is written there does not show.
  const std::string other(text.size(), 'y');
  std::FILE* rewritten = std::fopen((folder / "f").c_str(), "r+b");
  ASSERT_EQ(std::fwrite(other.data(), 1, other.size(), rewritten), other.size());
  std::fclose(rewritten);
  EXPECT_EQ(std::to_integer<char>(file.bytes().back()), 'y') << "the end stays mapped";
  const std::size_t middle = std::size_t{4} << 20;
  EXPECT_EQ(std::memcmp(file.bytes().data() + middle, text.data() + middle, 1 << 20), 0);
  stop.request_stop();
  MoveToLargePages(file.bytes(), stop.get_token());
  EXPECT_EQ(std::to_integer<char>(file.bytes().back()), 'y');
}

// Of the map that holds this address.
std::size_t FileBytesInLargePages(const std::byte* address) {
  std::istringstream maps(ReadAll("/proc/self/smaps"));
  const auto at = reinterpret_cast<std::uintptr_t>(address);
  std::size_t kilobytes = 0;
  bool inside = false;
  for (std::string line; std::getline(maps, line);) {
    std::uintptr_t from = 0;
    std::uintptr_t to = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx ", &from, &to) == 2) inside = from <= at && at < to;
    std::size_t found = 0;
    if (inside && std::sscanf(line.c_str(), "FilePmdMapped: %zu kB", &found) == 1)
      kilobytes += found;
  }
  return kilobytes * 1024;
}

// Where the file system has them; where it has not, this moves as above.
TEST(MappedPages, StayTheFilesWhereItIsInLargePages) {
  const TempFolder folder;
  const std::string text(std::size_t{16} << 20, 'x');
  ASSERT_OK(WriteFileAtomic(folder / "f", text));
  ASSERT_OK_AND_ASSIGN(const MappedFile file, MappedFile::Open(folder / "f"));
  PreferLargePages(file.bytes());
  std::size_t sum = 0;
  for (std::size_t i = 0; i < text.size(); i += 4096)
    sum += std::to_integer<std::size_t>(file.bytes()[i]);
  EXPECT_EQ(sum, text.size() / 4096 * 'x');
  const std::size_t large = FileBytesInLargePages(file.bytes().data());
  std::printf("%zu of %zu bytes in the file's large pages\n", large, text.size());
  std::stop_source stop;
  MoveToLargePages(file.bytes(), stop.get_token());
  // In the middle: where a map begins between two large pages, its first pages stay in any case.
  const std::size_t middle = text.size() / 2;
  std::FILE* rewritten = std::fopen((folder / "f").c_str(), "r+b");
  ASSERT_EQ(std::fseek(rewritten, static_cast<long>(middle), SEEK_SET), 0);
  ASSERT_EQ(std::fputc('y', rewritten), 'y');
  std::fclose(rewritten);
  const bool stays = large >= text.size() - text.size() / 8;
  EXPECT_EQ(std::to_integer<char>(file.bytes()[middle]), stays ? 'y' : 'x');
}

}  // namespace
}  // namespace metier
