// base/log.h - messages for people, on stderr. Results never go here: they belong on stdout.
#pragma once

#include <string_view>

namespace metier {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

// METIER_LOG=debug|info|warning|error|off sets the least level shown; info by default. Thread-safe.
void Log(LogLevel level, std::string_view message);

inline void LogInfo(std::string_view message) { Log(LogLevel::kInfo, message); }
inline void LogWarning(std::string_view message) { Log(LogLevel::kWarning, message); }

}  // namespace metier
