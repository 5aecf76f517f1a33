// retail/shop_main.cc - the program retail_shop: one subcommand for each thing the shop can make.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>

#include "base/json.h"
#include "base/progress.h"
#include "fmt/format.h"
#include "retail/database.h"
#include "retail/generate.h"

namespace metier::retail {
namespace {

// As the other programs of the project: 2 wrong use, 3 bad input, 4 a missing resource.
int ExitCode(const Error& error) {
  switch (error.code()) {
    case ErrorCode::kInvalidArgument: return 2;
    case ErrorCode::kResourceExhausted:
    case ErrorCode::kIo: return 4;
    default: return 3;
  }
}

int Report(const Status& status, const Json& summary) {
  if (!status.ok()) {
    fmt::print(stderr, "retail_shop: {}\n", status.error().message());
    return ExitCode(status.error());
  }
  fmt::print("{}", DumpPretty(summary));
  return 0;
}

struct GenerateFlags {
  WorldOptions options;
  std::string out;
  std::string today = FormatDay(WorldOptions().today);
};

Status Generate(const GenerateFlags& flags, Json& summary) {
  WorldOptions options = flags.options;
  METIER_ASSIGN(options.today, ParseDay(flags.today));
  METIER_ASSIGN(const World world, MakeWorld(options));
  METIER_TRY(WriteDatabase(world, flags.out));
  summary = {{"out", flags.out},
             {"seed", options.seed},
             {"products", world.products.size()},
             {"skus", world.variants.size()},
             {"customers", world.customers.size()},
             {"orders", world.orders.size()},
             {"returns", world.returns.size()},
             {"reviews", world.reviews.size()}};
  return Ok();
}

void AddGenerate(CLI::App& app, GenerateFlags& flags) {
  CLI::App* verb = app.add_subcommand("generate", "make the shop: catalogue, customers, orders");
  verb->add_option("--out", flags.out, "SQLite file to write")->required();
  verb->add_option("--seed", flags.options.seed, "the same seed makes the same shop");
  verb->add_option("--skus", flags.options.skus, "product options in the catalogue");
  verb->add_option("--customers", flags.options.customers, "customers");
  verb->add_option("--orders", flags.options.orders, "orders");
  verb->add_option("--today", flags.today, "the day on which the shop stands");
}

int Main(int argc, char** argv) {
  CLI::App app("The shop that ships with Metier: its data and its simulated customers.",
               "retail_shop");
  app.option_defaults()->always_capture_default();
  app.require_subcommand(1);
  GenerateFlags generate;
  AddGenerate(app, generate);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  Json summary;
  return Report(Generate(generate, summary), summary);
}

}  // namespace
}  // namespace metier::retail

int main(int argc, char** argv) { return metier::retail::Main(argc, argv); }
