#include "retail/dialogue.h"

#include <array>

namespace metier::retail {

std::string_view Name(Request request) {
  static constexpr std::array<std::string_view, kRequests> kNames = {
      "where_is", "cancel",       "change_address", "return",  "exchange",     "damaged",
      "missing",  "faulty",       "price_drop",     "loyalty", "product_info", "search",
      "policy",   "out_of_scope", "human",          "safety",  "legal",        "compensation",
      "account",  "others_data",  "rule_break"};
  return kNames[static_cast<std::size_t>(request)];
}

void Merge(const Facts& said, Facts& facts) {
  static constexpr std::string Facts::*kTexts[] = {
      &Facts::email,  &Facts::postcode, &Facts::order_id,     &Facts::item,   &Facts::reason,
      &Facts::street, &Facts::city,     &Facts::new_postcode, &Facts::option, &Facts::sku,
      &Facts::kind,   &Facts::colour,   &Facts::topic};
  for (const auto text : kTexts) {
    if (!(said.*text).empty()) facts.*text = said.*text;
  }
  if (said.max_price != 0) facts.max_price = said.max_price;
  if (said.wish != Wish::kUnsaid) facts.wish = said.wish;
  facts.no_email = facts.no_email || said.no_email;
  facts.no_order_id = facts.no_order_id || said.no_order_id;
  facts.others_order = facts.others_order || said.others_order;
}

}  // namespace metier::retail
