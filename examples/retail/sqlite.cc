#include "retail/sqlite.h"

#include <utility>

#include "fmt/format.h"

namespace metier::retail {
namespace {

ErrorCode CodeOf(int sqlite_code) {
  switch (sqlite_code & 0xff) {
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
    case SQLITE_ERROR:  // "no such table": a database, but not ours
    case SQLITE_CONSTRAINT: return ErrorCode::kDataCorrupt;
    case SQLITE_FULL:
    case SQLITE_NOMEM: return ErrorCode::kResourceExhausted;
    default: return ErrorCode::kIo;
  }
}

}  // namespace

Result<Sqlite> Sqlite::Open(const std::string& path, OpenMode mode) {
  sqlite3* handle = nullptr;
  const int flags =
      mode == OpenMode::kRead ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
  const int code = sqlite3_open_v2(path.c_str(), &handle, flags, nullptr);
  Sqlite database(handle);  // SQLite hands out a connection even when it could not open
  if (code != SQLITE_OK) return database.LastError(fmt::format("open '{}'", path));
  return database;
}

Sqlite::Sqlite(Sqlite&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
Sqlite::~Sqlite() { sqlite3_close(handle_); }

Status Sqlite::Run(const std::string& sql) {
  if (sqlite3_exec(handle_, sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK) return Ok();
  return LastError("database");
}

Error Sqlite::LastError(std::string_view doing) const {
  return {CodeOf(sqlite3_errcode(handle_)), fmt::format("{}: {}", doing, sqlite3_errmsg(handle_))};
}

Result<Statement> Statement::Prepare(const Sqlite& database, const std::string& sql) {
  sqlite3_stmt* handle = nullptr;
  if (sqlite3_prepare_v2(database.handle(), sql.c_str(), -1, &handle, nullptr) != SQLITE_OK) {
    return database.LastError("database");
  }
  return Statement(&database, handle);
}

Statement::Statement(Statement&& other) noexcept
    : database_(other.database_), handle_(std::exchange(other.handle_, nullptr)) {}
Statement::~Statement() { sqlite3_finalize(handle_); }

void Statement::Bind(int place, std::int64_t value) { sqlite3_bind_int64(handle_, place, value); }
void Statement::Bind(int place, std::string_view value) {
  sqlite3_bind_text(handle_, place, value.data(), static_cast<int>(value.size()),
                    SQLITE_TRANSIENT);  // NOLINT: SQLite's own cast
}

Status Statement::Finish() {
  const int code = sqlite3_step(handle_);
  sqlite3_reset(handle_);
  if (code == SQLITE_DONE) return Ok();
  return database_->LastError("database");
}

Result<bool> Statement::Next() {
  const int code = sqlite3_step(handle_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return database_->LastError("database");
}

std::int64_t Statement::Number(int column) const { return sqlite3_column_int64(handle_, column); }
std::string Statement::Text(int column) const {
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(handle_, column));
  return text == nullptr
             ? std::string()
             : std::string(text, static_cast<std::size_t>(sqlite3_column_bytes(handle_, column)));
}
bool Statement::IsNull(int column) const {
  return sqlite3_column_type(handle_, column) == SQLITE_NULL;
}

}  // namespace metier::retail
