package sheets

// PayoutsSheet is the sheet for payouts in the workbooks that Payrun makes.
const PayoutsSheet = "Payouts"
