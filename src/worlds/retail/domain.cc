#include "worlds/domains.h"
#include "worlds/retail/tools.h"

namespace metier::worlds {
namespace {

constexpr TableSpec kRetailTables[] = {
    {"orders", R"({"user_id": "", "address": {}, "status": "",
                   "items": [{"product_id": "", "item_id": "", "price": 0.5}],
                   "payment_history": [{"transaction_type": "", "amount": 0.5,
                                        "payment_method_id": ""}]})"},
    {"products", R"({"name": "", "variants": {"*": {"item_id": "", "options": {},
                                                    "available": true, "price": 0.5}}})"},
    {"users", R"({"name": {"first_name": "", "last_name": ""}, "email": "",
                  "address": {"zip": ""},
                  "payment_methods": {"*": {"source": "", "balance?": 0.5}}})"},
};

constexpr Tool kRetailTools[] = {
    {"calculate", R"({"expression": ""})", &CalculateTool},
    {"cancel_pending_order", R"({"order_id": "", "reason": "no longer needed|ordered by mistake"})",
     &retail::CancelPendingOrder},
    {"exchange_delivered_order_items",
     R"({"order_id": "", "item_ids": [""], "new_item_ids": [""], "payment_method_id": ""})",
     &retail::ExchangeDeliveredOrderItems},
    {"find_user_id_by_email", R"({"email": ""})", &retail::FindUserIdByEmail},
    {"find_user_id_by_name_zip", R"({"first_name": "", "last_name": "", "zip": ""})",
     &retail::FindUserIdByNameZip},
    {"get_order_details", R"({"order_id": ""})", &retail::GetOrderDetails},
    {"get_product_details", R"({"product_id": ""})", &retail::GetProductDetails},
    {"get_user_details", R"({"user_id": ""})", &retail::GetUserDetails},
    {"list_all_product_types", "{}", &retail::ListAllProductTypes},
    {"modify_pending_order_address",
     R"({"order_id": "", "address1": "", "address2": "", "city": "", "state": "", "country": "",
         "zip": ""})",
     &retail::ModifyPendingOrderAddress},
    {"modify_pending_order_items",
     R"({"order_id": "", "item_ids": [""], "new_item_ids": [""], "payment_method_id": ""})",
     &retail::ModifyPendingOrderItems},
    {"modify_pending_order_payment", R"({"order_id": "", "payment_method_id": ""})",
     &retail::ModifyPendingOrderPayment},
    {"modify_user_address",
     R"({"user_id": "", "address1": "", "address2": "", "city": "", "state": "", "country": "",
         "zip": ""})",
     &retail::ModifyUserAddress},
    {"return_delivered_order_items",
     R"({"order_id": "", "item_ids": [""], "payment_method_id": ""})",
     &retail::ReturnDeliveredOrderItems},
    {"think", R"({"thought": ""})", &ThinkTool},
    {"transfer_to_human_agents", R"({"summary": ""})", &TransferTool, AfterCall::kConversationEnds},
};

}  // namespace

const DomainSpec kRetailDomain = {"retail", kRetailTables, kRetailTools};

}  // namespace metier::worlds
