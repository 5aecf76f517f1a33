#include <algorithm>
#include <string_view>
#include <vector>

#include "worlds/retail/tools.h"
#include "worlds/tool.h"

namespace metier::worlds::retail {
namespace {

char LowerAscii(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// People write their own names and addresses as they like.
bool SameLetters(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return LowerAscii(x) == LowerAscii(y); });
}

// The first user of whom `fits` says true.
Result<std::string> FindUser(const Records& records, FunctionRef<bool(const Json& user)> fits) {
  std::string found;
  records.Visit("users", [&](const std::string& id, const Json& user) {
    if (fits(user)) found = id;
    return found.empty();
  });
  if (found.empty()) return Error(ErrorCode::kNotFound, "user not found");
  return found;
}

}  // namespace

Result<std::string> FindUserIdByEmail(Records& records, const Json& arguments) {
  return FindUser(records, [&](const Json& user) {
    return SameLetters(TextOf(user, "email"), TextOf(arguments, "email"));
  });
}

Result<std::string> FindUserIdByNameZip(Records& records, const Json& arguments) {
  return FindUser(records, [&](const Json& user) {
    const Json& name = user.at("name");
    return SameLetters(TextOf(name, "first_name"), TextOf(arguments, "first_name")) &&
           SameLetters(TextOf(name, "last_name"), TextOf(arguments, "last_name")) &&
           TextOf(user.at("address"), "zip") == TextOf(arguments, "zip");
  });
}

Result<std::string> GetOrderDetails(Records& records, const Json& arguments) {
  return RecordText(records.Find("orders", TextOf(arguments, "order_id")), "order");
}

Result<std::string> GetProductDetails(Records& records, const Json& arguments) {
  return RecordText(records.Find("products", TextOf(arguments, "product_id")), "product");
}

Result<std::string> GetUserDetails(Records& records, const Json& arguments) {
  return RecordText(records.Find("users", TextOf(arguments, "user_id")), "user");
}

Result<std::string> ListAllProductTypes(Records& records, const Json&) {
  std::vector<std::pair<std::string, std::string>> products;
  records.Visit("products", [&](const std::string& id, const Json& product) {
    products.emplace_back(TextOf(product, "name"), id);
    return true;
  });
  std::sort(products.begin(), products.end());
  Json listed = Json::object();
  for (const auto& [name, id] : products) listed[name] = id;
  return DumpPython(listed);
}

}  // namespace metier::worlds::retail
