"""What models say of patients whom they have not seen, and what chance would say."""
