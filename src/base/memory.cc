#include "base/memory.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>

namespace metier {
namespace {

// Files of /proc and /sys have no size, so base/file.h sees them as empty.
std::string ReadSystemFile(const char* path) {
  std::string text;
  std::FILE* file = std::fopen(path, "re");
  if (file == nullptr) return text;
  char block[1 << 13];
  text.assign(block, std::fread(block, 1, sizeof block, file));
  std::fclose(file);
  return text;
}

// Of a line "Name:   123 kB".
std::uint64_t LineBytes(const std::string& text, const std::string& name) {
  const std::size_t at = text.find(name + ":");
  if (at == std::string::npos) return 0;
  return std::strtoull(text.c_str() + at + name.size() + 1, nullptr, 10) * 1024;
}

// "max": nothing.
std::optional<std::uint64_t> GroupBytes(const char* path) {
  const std::string text = ReadSystemFile(path);
  if (text.empty() || text[0] < '0' || text[0] > '9') return std::nullopt;
  return std::strtoull(text.c_str(), nullptr, 10);
}

}  // namespace

std::uint64_t PeakResidentBytes() {
  return LineBytes(ReadSystemFile("/proc/self/status"), "VmHWM");
}

std::uint64_t ResidentBytes() { return LineBytes(ReadSystemFile("/proc/self/status"), "VmRSS"); }

std::uint64_t TotalMemoryBytes() {
  const std::uint64_t all = LineBytes(ReadSystemFile("/proc/meminfo"), "MemTotal");
  return std::min(all, GroupBytes("/sys/fs/cgroup/memory.max").value_or(all));
}

std::uint64_t AvailableMemoryBytes() {
  const std::uint64_t machine = LineBytes(ReadSystemFile("/proc/meminfo"), "MemAvailable");
  const auto most = GroupBytes("/sys/fs/cgroup/memory.max");
  const auto used = GroupBytes("/sys/fs/cgroup/memory.current");
  if (!most || !used) return machine;
  return std::min(machine, *most > *used ? *most - *used : 0);
}

}  // namespace metier
