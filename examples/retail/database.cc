#include "retail/database.h"

#include <cstdio>
#include <filesystem>

#include "fmt/format.h"
#include "retail/sqlite.h"

namespace metier::retail {
namespace {

// Row numbers are the indices of World's vectors, so that reading back gives the same order.
constexpr const char* kSchema = R"sql(
CREATE TABLE shop (seed INTEGER NOT NULL, today TEXT NOT NULL);
CREATE TABLE products (
  row INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, name TEXT NOT NULL UNIQUE, kind TEXT NOT NULL,
  category TEXT NOT NULL, material TEXT NOT NULL,
  split TEXT NOT NULL CHECK (split IN ('train', 'valid', 'test')),
  list_price_cents INTEGER NOT NULL CHECK (list_price_cents > 0),
  price_cents INTEGER NOT NULL CHECK (price_cents > 0 AND price_cents <= list_price_cents),
  return_days INTEGER NOT NULL, warranty_months INTEGER NOT NULL);
CREATE TABLE variants (
  row INTEGER PRIMARY KEY, sku TEXT NOT NULL UNIQUE, product INTEGER NOT NULL REFERENCES products,
  colour TEXT NOT NULL, size TEXT NOT NULL, stock INTEGER NOT NULL CHECK (stock >= 0));
CREATE TABLE customers (
  row INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, first_name TEXT NOT NULL,
  last_name TEXT NOT NULL, email TEXT NOT NULL UNIQUE, street TEXT NOT NULL, city TEXT NOT NULL,
  postcode TEXT NOT NULL, tier TEXT NOT NULL CHECK (tier IN ('standard', 'silver', 'gold')),
  split TEXT NOT NULL CHECK (split IN ('train', 'valid', 'test')));
CREATE TABLE orders (
  row INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,
  customer INTEGER NOT NULL REFERENCES customers, status TEXT NOT NULL, payment TEXT NOT NULL,
  street TEXT NOT NULL, city TEXT NOT NULL, postcode TEXT NOT NULL);
CREATE TABLE order_lines (
  row INTEGER PRIMARY KEY, order_row INTEGER NOT NULL REFERENCES orders,
  variant INTEGER NOT NULL REFERENCES variants, price_cents INTEGER NOT NULL, state TEXT NOT NULL);
CREATE TABLE order_events (
  row INTEGER PRIMARY KEY, order_row INTEGER NOT NULL REFERENCES orders, status TEXT NOT NULL,
  day TEXT NOT NULL);
CREATE TABLE parcels (
  order_row INTEGER PRIMARY KEY REFERENCES orders, tracking TEXT NOT NULL UNIQUE,
  carrier TEXT NOT NULL, status TEXT NOT NULL, expected TEXT NOT NULL, days_late INTEGER NOT NULL);
CREATE TABLE returns (
  row INTEGER PRIMARY KEY, order_row INTEGER NOT NULL REFERENCES orders, line INTEGER NOT NULL,
  reason TEXT NOT NULL, day TEXT NOT NULL);
CREATE TABLE reviews (
  row INTEGER PRIMARY KEY, product INTEGER NOT NULL REFERENCES products,
  customer INTEGER NOT NULL REFERENCES customers, stars INTEGER NOT NULL CHECK (stars BETWEEN 1 AND 5),
  text TEXT NOT NULL);
CREATE INDEX orders_of_customer ON orders (customer);
CREATE INDEX lines_of_order ON order_lines (order_row);
CREATE INDEX events_of_order ON order_events (order_row);
)sql";

Status WriteGoods(const World& world, const Sqlite& db) {
  METIER_ASSIGN(auto shop, Statement::Prepare(db, "INSERT INTO shop VALUES (?,?)"));
  METIER_TRY(shop.Insert(static_cast<std::int64_t>(world.seed), FormatDay(world.today)));
  METIER_ASSIGN(auto products,
                Statement::Prepare(db, "INSERT INTO products VALUES (?,?,?,?,?,?,?,?,?,?,?)"));
  for (std::size_t i = 0; i < world.products.size(); ++i) {
    const Product& p = world.products[i];
    METIER_TRY(products.Insert(i, p.id, p.name, p.kind, p.category, p.material, Name(p.split),
                               p.list_price_cents, p.price_cents, p.return_days,
                               p.warranty_months));
  }
  METIER_ASSIGN(auto variants, Statement::Prepare(db, "INSERT INTO variants VALUES (?,?,?,?,?,?)"));
  for (std::size_t i = 0; i < world.variants.size(); ++i) {
    const Variant& v = world.variants[i];
    METIER_TRY(variants.Insert(i, v.sku, v.product, v.colour, v.size, v.stock));
  }
  return Ok();
}

Status WritePeople(const World& world, const Sqlite& db) {
  METIER_ASSIGN(auto customers,
                Statement::Prepare(db, "INSERT INTO customers VALUES (?,?,?,?,?,?,?,?,?,?)"));
  for (std::size_t i = 0; i < world.customers.size(); ++i) {
    const Customer& c = world.customers[i];
    METIER_TRY(customers.Insert(i, c.id, c.first_name, c.last_name, c.email, c.street, c.city,
                                c.postcode, Name(c.tier), Name(c.split)));
  }
  METIER_ASSIGN(auto reviews, Statement::Prepare(db, "INSERT INTO reviews VALUES (?,?,?,?,?)"));
  for (std::size_t i = 0; i < world.reviews.size(); ++i) {
    const Review& r = world.reviews[i];
    METIER_TRY(reviews.Insert(i, r.product, r.customer, r.stars, r.text));
  }
  return Ok();
}

Status WriteOrders(const World& world, const Sqlite& db) {
  METIER_ASSIGN(auto orders, Statement::Prepare(db, "INSERT INTO orders VALUES (?,?,?,?,?,?,?,?)"));
  METIER_ASSIGN(auto lines,
                Statement::Prepare(db, "INSERT INTO order_lines VALUES (NULL,?,?,?,?)"));
  METIER_ASSIGN(auto events,
                Statement::Prepare(db, "INSERT INTO order_events VALUES (NULL,?,?,?)"));
  METIER_ASSIGN(auto parcels, Statement::Prepare(db, "INSERT INTO parcels VALUES (?,?,?,?,?,?)"));
  for (std::size_t i = 0; i < world.orders.size(); ++i) {
    const Order& o = world.orders[i];
    METIER_TRY(orders.Insert(i, o.id, o.customer, Name(o.status), Name(o.payment), o.street, o.city,
                             o.postcode));
    for (const OrderLine& line : o.lines) {
      METIER_TRY(lines.Insert(i, line.variant, line.price_cents, Name(line.state)));
    }
    for (const OrderEvent& event : o.events) {
      METIER_TRY(events.Insert(i, Name(event.status), FormatDay(event.day)));
    }
    if (o.parcel) {
      METIER_TRY(parcels.Insert(i, o.parcel->tracking, o.parcel->carrier, Name(o.parcel->status),
                                FormatDay(o.parcel->expected_day), o.parcel->days_late));
    }
  }
  METIER_ASSIGN(auto returns, Statement::Prepare(db, "INSERT INTO returns VALUES (NULL,?,?,?,?)"));
  for (const ReturnCase& r : world.returns) {
    METIER_TRY(returns.Insert(r.order, r.line, r.reason, FormatDay(r.day)));
  }
  return Ok();
}

Status WriteTables(const World& world, const std::string& path) {
  METIER_ASSIGN(Sqlite db, Sqlite::Open(path, OpenMode::kCreate));
  METIER_TRY(db.Run("PRAGMA journal_mode=OFF; PRAGMA foreign_keys=ON; BEGIN"));
  METIER_TRY(db.Run(kSchema));
  METIER_TRY(WriteGoods(world, db));
  METIER_TRY(WritePeople(world, db));
  METIER_TRY(WriteOrders(world, db));
  return db.Run("COMMIT");
}

// A reference or a name in a row that means nothing.
Error BadRow(std::string_view table, std::string_view column, const std::string& found) {
  return {ErrorCode::kDataCorrupt,
          fmt::format("table {}: column {}: '{}' is not known; make the shop anew with "
                      "'retail_shop generate'",
                      table, column, found)};
}

// Reads a column as an index below `size`.
Result<std::size_t> IndexIn(const Statement& row, int column, std::size_t size,
                            std::string_view table) {
  const std::int64_t value = row.Number(column);
  if (value >= 0 && static_cast<std::uint64_t>(value) < size) {
    return static_cast<std::size_t>(value);
  }
  return BadRow(table, fmt::format("{}", column), std::to_string(value));
}

template <class Value>
Result<Value> Known(std::optional<Value> parsed, std::string_view table, std::string_view column,
                    const std::string& found) {
  if (parsed) return *parsed;
  return BadRow(table, column, found);
}

Status ReadGoods(const Sqlite& db, World& world) {
  METIER_ASSIGN(auto shop, Statement::Prepare(db, "SELECT seed, today FROM shop"));
  METIER_ASSIGN(const bool any, shop.Next());
  if (!any) return BadRow("shop", "seed", "no row");
  world.seed = static_cast<std::uint64_t>(shop.Number(0));
  METIER_ASSIGN(world.today, ParseDay(shop.Text(1)));
  METIER_ASSIGN(auto products,
                Statement::Prepare(db,
                                   "SELECT id, name, kind, category, material, split, "
                                   "list_price_cents, price_cents, return_days, "
                                   "warranty_months FROM products ORDER BY row"));
  while (true) {
    METIER_ASSIGN(const bool more, products.Next());
    if (!more) break;
    Product p;
    p.id = products.Text(0);
    p.name = products.Text(1);
    p.kind = products.Text(2);
    p.category = products.Text(3);
    p.material = products.Text(4);
    METIER_ASSIGN(p.split,
                  Known(ParseSplit(products.Text(5)), "products", "split", products.Text(5)));
    p.list_price_cents = products.Number(6);
    p.price_cents = products.Number(7);
    p.return_days = static_cast<int>(products.Number(8));
    p.warranty_months = static_cast<int>(products.Number(9));
    world.products.push_back(std::move(p));
  }
  METIER_ASSIGN(auto variants,
                Statement::Prepare(
                    db, "SELECT sku, product, colour, size, stock FROM variants ORDER BY row"));
  while (true) {
    METIER_ASSIGN(const bool more, variants.Next());
    if (!more) break;
    Variant v;
    v.sku = variants.Text(0);
    METIER_ASSIGN(v.product, IndexIn(variants, 1, world.products.size(), "variants"));
    v.colour = variants.Text(2);
    v.size = variants.Text(3);
    v.stock = static_cast<int>(variants.Number(4));
    world.variants.push_back(std::move(v));
  }
  return Ok();
}

Status ReadPeople(const Sqlite& db, World& world) {
  METIER_ASSIGN(auto rows,
                Statement::Prepare(db,
                                   "SELECT id, first_name, last_name, email, street, city, "
                                   "postcode, tier, split FROM customers ORDER BY row"));
  while (true) {
    METIER_ASSIGN(const bool more, rows.Next());
    if (!more) break;
    Customer c;
    c.id = rows.Text(0);
    c.first_name = rows.Text(1);
    c.last_name = rows.Text(2);
    c.email = rows.Text(3);
    c.street = rows.Text(4);
    c.city = rows.Text(5);
    c.postcode = rows.Text(6);
    METIER_ASSIGN(c.tier, Known(ParseTier(rows.Text(7)), "customers", "tier", rows.Text(7)));
    METIER_ASSIGN(c.split, Known(ParseSplit(rows.Text(8)), "customers", "split", rows.Text(8)));
    world.customers.push_back(std::move(c));
  }
  METIER_ASSIGN(auto reviews, Statement::Prepare(db,
                                                 "SELECT product, customer, stars, text "
                                                 "FROM reviews ORDER BY row"));
  while (true) {
    METIER_ASSIGN(const bool more, reviews.Next());
    if (!more) break;
    Review r;
    METIER_ASSIGN(r.product, IndexIn(reviews, 0, world.products.size(), "reviews"));
    METIER_ASSIGN(r.customer, IndexIn(reviews, 1, world.customers.size(), "reviews"));
    r.stars = static_cast<int>(reviews.Number(2));
    r.text = reviews.Text(3);
    world.reviews.push_back(std::move(r));
  }
  return Ok();
}

Status ReadOrderParts(const Sqlite& db, World& world) {
  METIER_ASSIGN(auto lines, Statement::Prepare(db,
                                               "SELECT order_row, variant, price_cents, state "
                                               "FROM order_lines ORDER BY row"));
  while (true) {
    METIER_ASSIGN(const bool more, lines.Next());
    if (!more) break;
    METIER_ASSIGN(const std::size_t order, IndexIn(lines, 0, world.orders.size(), "order_lines"));
    OrderLine line;
    METIER_ASSIGN(line.variant, IndexIn(lines, 1, world.variants.size(), "order_lines"));
    line.price_cents = lines.Number(2);
    METIER_ASSIGN(line.state,
                  Known(ParseLineState(lines.Text(3)), "order_lines", "state", lines.Text(3)));
    world.orders[order].lines.push_back(line);
  }
  METIER_ASSIGN(auto events, Statement::Prepare(db,
                                                "SELECT order_row, status, day "
                                                "FROM order_events ORDER BY row"));
  while (true) {
    METIER_ASSIGN(const bool more, events.Next());
    if (!more) break;
    METIER_ASSIGN(const std::size_t order, IndexIn(events, 0, world.orders.size(), "order_events"));
    OrderEvent event;
    METIER_ASSIGN(event.status, Known(ParseOrderStatus(events.Text(1)), "order_events", "status",
                                      events.Text(1)));
    METIER_ASSIGN(event.day, ParseDay(events.Text(2)));
    world.orders[order].events.push_back(event);
  }
  METIER_ASSIGN(auto parcels,
                Statement::Prepare(db,
                                   "SELECT order_row, tracking, carrier, status, expected, "
                                   "days_late FROM parcels ORDER BY order_row"));
  while (true) {
    METIER_ASSIGN(const bool more, parcels.Next());
    if (!more) break;
    METIER_ASSIGN(const std::size_t order, IndexIn(parcels, 0, world.orders.size(), "parcels"));
    Parcel parcel;
    parcel.tracking = parcels.Text(1);
    parcel.carrier = parcels.Text(2);
    METIER_ASSIGN(parcel.status,
                  Known(ParseParcelStatus(parcels.Text(3)), "parcels", "status", parcels.Text(3)));
    METIER_ASSIGN(parcel.expected_day, ParseDay(parcels.Text(4)));
    parcel.days_late = static_cast<int>(parcels.Number(5));
    world.orders[order].parcel = parcel;
  }
  return Ok();
}

Status ReadOrders(const Sqlite& db, World& world) {
  METIER_ASSIGN(auto rows, Statement::Prepare(db,
                                              "SELECT id, customer, status, payment, street, "
                                              "city, postcode FROM orders ORDER BY row"));
  while (true) {
    METIER_ASSIGN(const bool more, rows.Next());
    if (!more) break;
    Order o;
    o.id = rows.Text(0);
    METIER_ASSIGN(o.customer, IndexIn(rows, 1, world.customers.size(), "orders"));
    METIER_ASSIGN(o.status,
                  Known(ParseOrderStatus(rows.Text(2)), "orders", "status", rows.Text(2)));
    METIER_ASSIGN(o.payment, Known(ParsePayment(rows.Text(3)), "orders", "payment", rows.Text(3)));
    o.street = rows.Text(4);
    o.city = rows.Text(5);
    o.postcode = rows.Text(6);
    world.orders.push_back(std::move(o));
  }
  METIER_TRY(ReadOrderParts(db, world));
  for (const Order& order : world.orders) {
    if (order.lines.empty()) return BadRow("orders", "lines of", order.id);
    if (order.events.empty()) return BadRow("orders", "events of", order.id);
  }
  METIER_ASSIGN(auto returns, Statement::Prepare(db,
                                                 "SELECT order_row, line, reason, day FROM returns "
                                                 "ORDER BY row"));
  while (true) {
    METIER_ASSIGN(const bool more, returns.Next());
    if (!more) return Ok();
    ReturnCase r;
    METIER_ASSIGN(r.order, IndexIn(returns, 0, world.orders.size(), "returns"));
    METIER_ASSIGN(r.line, IndexIn(returns, 1, world.orders[r.order].lines.size(), "returns"));
    r.reason = returns.Text(2);
    METIER_ASSIGN(r.day, ParseDay(returns.Text(3)));
    world.returns.push_back(std::move(r));
  }
}

}  // namespace

Status WriteDatabase(const World& world, const std::string& path) {
  const std::string temporary = path + ".partial";
  std::remove(temporary.c_str());
  const Status written = WriteTables(world, temporary);
  if (!written.ok()) {
    std::remove(temporary.c_str());
    return Error(written.error()).With(fmt::format("write '{}'", path));
  }
  // SQLite has flushed the file at COMMIT; the rename makes it visible whole.
  std::error_code failed;
  std::filesystem::rename(temporary, path, failed);
  if (!failed) return Ok();
  std::remove(temporary.c_str());
  return Error(ErrorCode::kIo, fmt::format("write '{}': {}", path, failed.message()));
}

Result<World> ReadDatabase(const std::string& path) {
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(path, ignored)) {
    return Error(ErrorCode::kNotFound,
                 fmt::format("shop database '{}': no such file; make one with 'retail_shop "
                             "generate --out {}'",
                             path, path));
  }
  World world;
  const auto read = [&]() -> Status {
    METIER_ASSIGN(const Sqlite db, Sqlite::Open(path, OpenMode::kRead));
    METIER_TRY(ReadGoods(db, world));
    METIER_TRY(ReadPeople(db, world));
    return ReadOrders(db, world);
  };
  const Status done = read();
  if (!done.ok()) return Error(done.error()).With(fmt::format("read '{}'", path));
  world.Index();
  return world;
}

}  // namespace metier::retail
