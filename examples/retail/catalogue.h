// retail/catalogue.h - the kinds of goods that the shop sells, read from data/catalogue.txt.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace metier::retail {

struct Kind {
  std::string name;  // "rain jacket"
  std::string category;
  int low_price = 0;  // whole dollars
  int high_price = 0;
  int return_days = 0;  // 0: final sale
  int warranty_months = 0;
  std::vector<std::string> sizes;  // empty where one size fits
  std::vector<std::string> materials;
  std::vector<std::string> colours;
};

const std::vector<Kind>& Kinds();

// The kind of that name, or null.
const Kind* FindKind(std::string_view name);

// Every colour that some kind comes in, sorted.
const std::vector<std::string>& AllColours();

// "rain jacket" -> "Rain Jacket".
std::string TitleCase(std::string_view text);

}  // namespace metier::retail
