// The generated shop: the same for the same seed, sound in the database, disjoint between splits.
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <map>
#include <set>

#include "retail/catalogue.h"
#include "retail/database.h"
#include "retail/generate.h"
#include "retail/policy.h"
#include "retail/sqlite.h"
#include "support/fixtures.h"

namespace metier::retail {
namespace {

const World& Shop() {
  static const World world = MakeWorld({}).value();
  return world;
}

std::int64_t Count(const Sqlite& db, const std::string& sql) {
  Statement rows = Statement::Prepare(db, sql).value();
  std::int64_t count = 0;
  while (rows.Next().value()) ++count;
  return count;
}

TEST(World, HasTheSizesAskedFor) {
  EXPECT_EQ(Shop().variants.size(), 500u);
  EXPECT_EQ(Shop().orders.size(), 10000u);
  EXPECT_EQ(Shop().customers.size(), 3000u);
  EXPECT_GT(Shop().returns.size(), 50u);
  EXPECT_GT(Shop().reviews.size(), 200u);
}

TEST(World, SameSeedSameBytesOtherSeedOtherShop) {
  test::TempFolder folder;
  WorldOptions options;
  ASSERT_OK(WriteDatabase(MakeWorld(options).value(), folder / "a.db"));
  ASSERT_OK(WriteDatabase(MakeWorld(options).value(), folder / "b.db"));
  options.seed = 2;
  ASSERT_OK(WriteDatabase(MakeWorld(options).value(), folder / "c.db"));
  EXPECT_EQ(test::ReadAll(folder / "a.db"), test::ReadAll(folder / "b.db"));
  EXPECT_NE(test::ReadAll(folder / "a.db"), test::ReadAll(folder / "c.db"));
}

TEST(World, ReadsBackWhatWasWritten) {
  test::TempFolder folder;
  ASSERT_OK(WriteDatabase(Shop(), folder / "a.db"));
  ASSERT_OK_AND_ASSIGN(const World read, ReadDatabase(folder / "a.db"));
  ASSERT_OK(WriteDatabase(read, folder / "b.db"));
  EXPECT_EQ(test::ReadAll(folder / "a.db"), test::ReadAll(folder / "b.db"));
  const Order& order = Shop().orders[17];
  const auto found = read.FindOrder(order.id);
  ASSERT_TRUE(found);
  EXPECT_EQ(read.orders[*found].TotalCents(), order.TotalCents());
  EXPECT_EQ(read.orders[*found].events.size(), order.events.size());
}

TEST(World, ForeignKeysHold) {
  test::TempFolder folder;
  ASSERT_OK(WriteDatabase(Shop(), folder / "a.db"));
  ASSERT_OK_AND_ASSIGN(const Sqlite db, Sqlite::Open(folder / "a.db", OpenMode::kRead));
  EXPECT_EQ(Count(db, "PRAGMA foreign_key_check"), 0);
  EXPECT_EQ(Count(db, "SELECT * FROM order_lines"), Count(db,
                                                          "SELECT l.row FROM order_lines l "
                                                          "JOIN variants v ON v.row = l.variant "
                                                          "JOIN orders o ON o.row = l.order_row"));
  // Orders hold products of their customer's split only.
  EXPECT_EQ(Count(db,
                  "SELECT * FROM order_lines l JOIN orders o ON o.row = l.order_row "
                  "JOIN customers c ON c.row = o.customer JOIN variants v ON v.row = l.variant "
                  "JOIN products p ON p.row = v.product WHERE p.split <> c.split"),
            0);
}

TEST(World, WriterRefusesADanglingReference) {
  test::TempFolder folder;
  World broken = Shop();
  broken.variants[3].product = broken.products.size();
  EXPECT_ERROR(WriteDatabase(broken, folder / "a.db"), ErrorCode::kDataCorrupt, "FOREIGN KEY");
  EXPECT_FALSE(Sqlite::Open(folder / "a.db", OpenMode::kRead).ok()) << "half a file was left";
}

TEST(World, ReaderRefusesWhatIsNoShop) {
  test::TempFolder folder;
  EXPECT_ERROR(ReadDatabase(folder / "none.db"), ErrorCode::kNotFound, "no such file");
  test::WriteAll(folder / "text.db", std::string(4096, 'x'));
  EXPECT_ERROR(ReadDatabase(folder / "text.db"), ErrorCode::kDataCorrupt, "not a database");
  ASSERT_OK(WriteDatabase(Shop(), folder / "a.db"));
  {
    ASSERT_OK_AND_ASSIGN(Sqlite db, Sqlite::Open(folder / "a.db", OpenMode::kCreate));
    ASSERT_OK(db.Run("UPDATE orders SET status = 'mislaid' WHERE row = 5"));
  }
  EXPECT_ERROR(ReadDatabase(folder / "a.db"), ErrorCode::kDataCorrupt, "mislaid");
}

TEST(World, SplitsShareNoNameAndNoId) {
  std::map<std::string, std::set<Split>> seen;
  for (const Customer& customer : Shop().customers) {
    for (const std::string& word : {customer.first_name, customer.last_name, customer.city,
                                    customer.email, customer.postcode, customer.id}) {
      seen[word].insert(customer.split);
    }
  }
  for (const Product& product : Shop().products) seen[product.name].insert(product.split);
  for (const auto& [word, splits] : seen) EXPECT_EQ(splits.size(), 1u) << word;
}

TEST(World, EverySplitHasEveryStatusAndGoods) {
  std::map<Split, std::set<OrderStatus>> statuses;
  std::map<Split, std::set<std::string>> kinds;
  for (const Order& order : Shop().orders) {
    statuses[Shop().customers[order.customer].split].insert(order.status);
  }
  for (const Product& product : Shop().products) kinds[product.split].insert(product.kind);
  for (const Split split : {Split::kTrain, Split::kValid, Split::kTest}) {
    EXPECT_EQ(statuses[split].size(), 7u) << Name(split);
  }
  EXPECT_EQ(kinds[Split::kTrain].size(), Kinds().size());
}

TEST(World, TimelinesRunForwardAndEndInTheStatus) {
  for (const Order& order : Shop().orders) {
    ASSERT_FALSE(order.events.empty());
    EXPECT_EQ(order.events.front().status, OrderStatus::kPlaced);
    EXPECT_EQ(order.events.back().status, order.status) << order.id;
    for (std::size_t i = 1; i < order.events.size(); ++i) {
      EXPECT_LE(order.events[i - 1].day, order.events[i].day) << order.id;
    }
    EXPECT_LE(order.events.back().day, Shop().today) << order.id;
    EXPECT_EQ(order.parcel.has_value(), order.DayOf(OrderStatus::kShipped).has_value());
  }
}

TEST(World, RefusesSizesThatCannotWork) {
  WorldOptions options;
  options.skus = 10;
  EXPECT_ERROR(MakeWorld(options), ErrorCode::kInvalidArgument, "SKUs");
  options = {};
  options.orders = 1000000;
  EXPECT_ERROR(MakeWorld(options), ErrorCode::kInvalidArgument, "orders");
}

TEST(World, DaysAreReadAndWritten) {
  EXPECT_EQ(FormatDay(0), "1970-01-01");
  EXPECT_EQ(FormatDay(WorldOptions().today), "2026-11-20");
  EXPECT_EQ(ParseDay("2026-11-20").value(), WorldOptions().today);
  EXPECT_ERROR(ParseDay("2026-02-30"), ErrorCode::kInvalidArgument, "2026-02-30");
  EXPECT_ERROR(ParseDay("20th Nov"), ErrorCode::kInvalidArgument, "expected");
}

TEST(World, BothSidesOfEveryWindowExist) {
  std::map<ReturnState, int> states;
  std::map<bool, int> claims;
  std::map<bool, int> warranty;
  for (const Order& order : Shop().orders) {
    if (order.status != OrderStatus::kDelivered) continue;
    for (const OrderLine& line : order.lines) {
      ++states[ReturnStateOf(Shop(), order, line)];
      ++claims[ClaimOpen(Shop(), order, line)];
      ++warranty[WarrantyRuns(Shop(), order, line)];
    }
  }
  for (const ReturnState state :
       {ReturnState::kOpen, ReturnState::kClosed, ReturnState::kFinalSale, ReturnState::kDone}) {
    EXPECT_GT(states[state], 20) << Name(state);
  }
  EXPECT_GT(std::min(claims[false], claims[true]), 50);
  EXPECT_GT(std::min(warranty[false], warranty[true]), 20);
}

}  // namespace
}  // namespace metier::retail
