#include "base/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>

namespace metier {
namespace {

spdlog::logger& Logger() {
  static const auto kLogger = [] {
    auto made = std::make_shared<spdlog::logger>(
        "metier", std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
    made->set_pattern("%^%l%$: %v");
    const char* name = std::getenv("METIER_LOG");
    const auto level = name == nullptr ? spdlog::level::info : spdlog::level::from_str(name);
    // The library takes an unknown name for "off", which would hide errors.
    const bool unknown = level == spdlog::level::off && std::strcmp(name, "off") != 0;
    made->set_level(unknown ? spdlog::level::info : level);
    if (unknown) {
      made->warn("METIER_LOG={}: unknown level; known: debug, info, warning, error, off", name);
    }
    return made;
  }();
  return *kLogger;
}

}  // namespace

void Log(LogLevel level, std::string_view message) {
  constexpr spdlog::level::level_enum kLevels[] = {spdlog::level::debug, spdlog::level::info,
                                                   spdlog::level::warn, spdlog::level::err};
  static const bool kTerminal = ::isatty(STDERR_FILENO) == 1;
  if (kTerminal) std::fputs("\r\x1b[K", stderr);  // a progress bar may stand on this line
  Logger().log(kLevels[static_cast<int>(level)], message);
}

}  // namespace metier
