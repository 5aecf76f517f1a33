// The database: shared, changed by copies, compared by value.
#include "worlds/records.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "tiny_worlds.h"

namespace metier::worlds {
namespace {

std::shared_ptr<const Database> TwoTables() {
  auto database = std::make_shared<Database>();
  for (const char* name : {"users", "orders"}) {
    Result<Table> table =
        Table::Create(name, Parsed(R"({"z": {"n": 1, "list": [1, 2]}, "a": {"n": 2, "list": []}})"),
                      Parsed(R"({"n": 0.5})"));
    EXPECT_OK(table);
    if (table.ok()) database->push_back(std::move(*table));
  }
  return database;
}

std::string Keys(const Records& records, std::string_view table) {
  std::string keys;
  records.Visit(table, [&](const std::string& key, const Json&) {
    keys += key;
    return true;
  });
  return keys;
}

TEST(Records, ChangesStayInTheirCopy) {
  const Records initial(TwoTables());
  Records changed = initial;
  ASSERT_NE(changed.Change("users", "z"), nullptr);
  (*changed.Change("users", "z"))["n"] = 7;
  changed.Put("orders", "b", {{"n", 3}});
  Records copy = changed;
  (*copy.Change("users", "z"))["n"] = 8;

  EXPECT_EQ((*initial.Find("users", "z"))["n"], 1);
  EXPECT_EQ((*changed.Find("users", "z"))["n"], 7);
  EXPECT_EQ((*copy.Find("users", "z"))["n"], 8);
  EXPECT_EQ((*changed.Find("orders", "z"))["n"], 1);
  EXPECT_EQ(initial.Find("orders", "b"), nullptr);
  EXPECT_EQ((*copy.Find("orders", "b"))["n"], 3);
  EXPECT_EQ(copy.Change("users", "nobody"), nullptr);
  EXPECT_EQ(copy.Find("users", "nobody"), nullptr);
}

TEST(Records, AreVisitedInTheOrderOfTheFileThenNewOnes) {
  Records records(TwoTables());
  records.Put("users", "y", Json::object());
  records.Put("users", "b", Json::object());
  (*records.Change("users", "a"))["n"] = 5;
  EXPECT_EQ(Keys(records, "users"), "zaby");
  EXPECT_EQ(Keys(records, "orders"), "za");
  int visited = 0;
  records.Visit("users", [&](const std::string&, const Json&) { return ++visited < 2; });
  EXPECT_EQ(visited, 2);
}

TEST(Records, AreEqualByValue) {
  const Records initial(TwoTables());
  Records changed = initial;
  Json& record = *changed.Change("users", "z");
  EXPECT_EQ(changed, initial);  // written to is not yet different
  record["n"] = 1.0;
  EXPECT_EQ(changed, initial);
  EXPECT_EQ(changed.Digest(), initial.Digest());
  record = Parsed(R"({"list": [1, 2], "n": 1})");  // names of objects have no order
  EXPECT_EQ(changed, initial);
  record["list"] = {2, 1};  // lists do
  EXPECT_NE(changed, initial);
  EXPECT_NE(changed.Digest(), initial.Digest());
  record["list"] = {1, 2};
  record["n"] = 1.5;
  EXPECT_NE(changed, initial);

  // The same change in another table is another database.
  Records users = initial;
  Records orders = initial;
  users.Put("users", "new", {{"n", 1}});
  orders.Put("orders", "new", {{"n", 1}});
  EXPECT_NE(users, orders);
}

TEST(Records, ASnapshotIsTheWholeDatabase) {
  Records records(TwoTables());
  records.Put("orders", "b", {{"n", 3}});
  const Json snapshot = records.Snapshot();
  EXPECT_EQ(DumpCompact(snapshot),
            R"({"users":{"z":{"n":1,"list":[1,2]},"a":{"n":2,"list":[]}},)"
            R"("orders":{"z":{"n":1,"list":[1,2]},"a":{"n":2,"list":[]},"b":{"n":3}}})");
}

TEST(Records, ATableHoldsRecordsOfItsShape) {
  const auto code = ErrorCode::kInvalidArgument;
  EXPECT_ERROR(Table::Create("users", Parsed(R"({"z": {"n": "1"}})"), Parsed(R"({"n": 0})")), code,
               "users 'z': field 'n' is a string, expected a whole number");
  EXPECT_ERROR(Table::Create("users", Parsed("[]"), Parsed("{}")), code,
               "users: expected an object of records");
}

}  // namespace
}  // namespace metier::worlds
