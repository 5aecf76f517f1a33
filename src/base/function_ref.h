// base/function_ref.h - a borrowed callable: what std::function costs less its copy and allocation.
#pragma once

#include <memory>
#include <type_traits>
#include <utility>

namespace metier {

template <class Signature>
class FunctionRef;

// A callable of this signature that is not itself a reference to one.
template <class F, class Ref, class R, class... Args>
concept CalledInPlaceOf =
    !std::is_same_v<std::remove_cvref_t<F>, Ref> && std::is_invocable_r_v<R, F&, Args...>;

// Refers to a callable that must outlive it: meant for parameters.
template <class R, class... Args>
class FunctionRef<R(Args...)> {
 public:
  // A lambda is passed as it stands, and the concept leaves copies to the copy constructor.
  template <CalledInPlaceOf<FunctionRef, R, Args...> F>
  // NOLINTNEXTLINE(google-explicit-constructor,bugprone-forwarding-reference-overload)
  FunctionRef(F&& f)
      : object_(const_cast<void*>(static_cast<const void*>(std::addressof(f)))),
        call_([](void* object, Args... args) -> R {
          return (*static_cast<std::remove_reference_t<F>*>(object))(std::forward<Args>(args)...);
        }) {}

  R operator()(Args... args) const { return call_(object_, std::forward<Args>(args)...); }

 private:
  void* object_;
  R (*call_)(void*, Args...);
};

}  // namespace metier
