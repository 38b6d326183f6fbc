"""How the embedded domain `portraits` is drawn, trained, judged and measured."""
