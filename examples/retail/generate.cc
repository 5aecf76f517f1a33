#include "retail/generate.h"

#include <utility>

#include "fmt/format.h"

namespace metier::retail {

IdPool::IdPool(std::string prefix, int digits) : prefix_(std::move(prefix)) {
  for (int i = 1; i < digits; ++i) low_ *= 10;
}

std::string IdPool::Next(Rng& rng) {
  std::uint64_t number = 0;
  do {
    number = low_ + rng.Below(9 * low_);
  } while (!used_.insert(number).second);
  return fmt::format("{}{}", prefix_, number);
}

int Between(int low, int high, Rng& rng) {
  return low + static_cast<int>(rng.Below(static_cast<std::uint64_t>(high - low + 1)));
}

bool Chance(double probability, Rng& rng) { return rng.Uniform() < probability; }

Split SplitOfPlace(std::size_t index) {
  switch (index % 10) {
    case 3:
    case 9: return Split::kTest;
    case 6: return Split::kValid;
    default: return Split::kTrain;
  }
}

Result<World> MakeWorld(const WorldOptions& options) {
  const auto check = [](std::string_view what, int found, int low, int high) -> Status {
    if (found >= low && found <= high) return Ok();
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("{}: {}, expected {} to {}", what, found, low, high));
  };
  METIER_TRY(check("SKUs", options.skus, 100, 4500));
  METIER_TRY(check("customers", options.customers, 30, 4500));
  METIER_TRY(check("orders", options.orders, 100, 45000));
  World world;
  world.seed = options.seed;
  world.today = options.today;
  MakeCatalogue(options, world);
  MakeCustomers(options, world);
  MakeOrders(options, world);
  MakeReviews(options, world);
  world.Index();
  return world;
}

}  // namespace metier::retail
