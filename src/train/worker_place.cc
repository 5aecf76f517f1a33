#include "train/worker_place.h"

#include <fmt/format.h>

#include <charconv>
#include <optional>
#include <string_view>

namespace metier::train {
namespace {

constexpr int kMostWorkers = 4096;

// What a launcher calls them; null: it has no such variable.
struct PlaceNames {
  const char* rank;
  const char* count;
  const char* local_rank;
  const char* local_count;
  const char* needs;  // set where the launcher really started this process
};

constexpr PlaceNames kLaunchers[] = {
    {"RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", nullptr},
    // mpirun binds its processes to cores, srun gives them some: nothing is left to share out.
    {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK", nullptr,
     nullptr},
    {"SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID", nullptr, "SLURM_STEP_ID"},
};

Error Wrong(const char* name, const std::string& found, const std::string& expected) {
  return Error(ErrorCode::kInvalidArgument,
               fmt::format("environment variable {}: found {}, expected {}; torchrun, mpirun and "
                           "srun set it for their processes, and one process alone needs none",
                           name, found, expected));
}

Result<int> ReadWhole(const Environment& environment, const char* name, int least, int most) {
  const std::string expected = fmt::format("a whole number from {} to {}", least, most);
  const char* text = environment(name);
  if (text == nullptr) return Wrong(name, "none", expected);
  const std::string_view value = text;
  int number = 0;
  const auto parsed = std::from_chars(value.data(), value.data() + value.size(), number);
  if (parsed.ec != std::errc() || parsed.ptr != value.data() + value.size() || number < least ||
      number > most)
    return Wrong(name, fmt::format("'{}'", value), expected);
  return number;
}

// The launcher whose variables are there.
const PlaceNames* LauncherOf(const Environment& environment) {
  for (const PlaceNames& names : kLaunchers) {
    if (names.needs != nullptr && environment(names.needs) == nullptr) continue;
    if (environment(names.rank) != nullptr || environment(names.count) != nullptr) return &names;
  }
  return nullptr;
}

}  // namespace

Result<WorkerPlace> ReadWorkerPlace(const Environment& environment) {
  WorkerPlace place;
  const PlaceNames* names = LauncherOf(environment);
  if (names == nullptr) return place;
  METIER_ASSIGN(place.count, ReadWhole(environment, names->count, 1, kMostWorkers));
  METIER_ASSIGN(place.rank, ReadWhole(environment, names->rank, 0, place.count - 1));
  if (place.count == 1) return place;
  place.local_rank = place.rank;
  if (environment(names->local_rank) != nullptr) {
    METIER_ASSIGN(place.local_rank, ReadWhole(environment, names->local_rank, 0, place.count - 1));
  }
  if (names->local_count != nullptr && environment(names->local_count) != nullptr) {
    METIER_ASSIGN(place.local_count, ReadWhole(environment, names->local_count, 1, place.count));
  }
  const char* address = environment("MASTER_ADDR");
  if (address == nullptr || *address == 0) {
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("environment variable MASTER_ADDR: found none, although {} says that "
                             "there are {} workers; set it to the name or address of worker 0's "
                             "machine, and MASTER_PORT to a free port of it, alike for all",
                             names->count, place.count));
  }
  place.address = address;
  METIER_ASSIGN(const int port, ReadWhole(environment, "MASTER_PORT", 1, 65534));
  const char* agent = environment("TORCHELASTIC_USE_AGENT_STORE");
  const bool taken = agent != nullptr && std::string_view(agent) == "True";
  place.port = static_cast<std::uint16_t>(port + (taken ? 1 : 0));
  return place;
}

}  // namespace metier::train
